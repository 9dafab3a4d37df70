"""Decisions by hand: what AWS documents, and what the oracle leaves out or sees otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from localaws.iam import policy
from localaws.iam.conditions import PolicyError
from localaws.iam.evaluate import Decision, Kind, decide
from localaws.iam.policy import Request
from localaws.iam.principals import Principal

ACCOUNT = "000000000000"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/worker"
WHO = Principal(f"arn:aws:sts::{ACCOUNT}:assumed-role/worker/one", ACCOUNT, ROLE)
ROOT = Principal(f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT)
ECS = Principal(service="ecs-tasks.amazonaws.com")


def statement(effect: str = "Allow", **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": "s3:GetObject", "Resource": "*", **more}


def document(*statements: dict[str, Any], version: str = "2012-10-17") -> dict[str, Any]:
    return {"Version": version, "Statement": list(statements)}


def ask(
    *statements: dict[str, Any],
    context: dict[str, Any] | None = None,
    resource: dict[str, Any] | None = None,
    who: Principal = WHO,
    action: str = "s3:GetObject",
    of: str = "arn:aws:s3:::bucket/key",
    version: str = "2012-10-17",
) -> Decision:
    lower = {key.lower(): value for key, value in (context or {}).items()}
    return decide(
        Request(action, of, who, lower),
        [policy.parse("own", document(*statements, version=version))] if statements else [],
        policy.parse("theirs", resource) if resource else None,
    )


def meets(operator: str, wanted: Any, given: Any, **context: Any) -> bool:
    if given is not None:
        context["aws:key"] = given
    condition = {operator: {"aws:key": wanted}}
    return ask(statement(Condition=condition), context=context).allowed


def test_the_statement_that_decides_is_named() -> None:
    decision = ask(statement(Sid="ReadIt"), statement(Sid="ReadAgain"))
    assert decision.allowed
    assert decision.by is not None
    assert decision.by.name == "own:ReadIt"
    denied = ask(statement(), statement("Deny"))
    assert not denied.allowed
    assert denied.explicit
    assert denied.by is not None
    assert denied.by.name == "own:#2"
    assert ask() == Decision(False, None, Kind.IDENTITY)


@pytest.mark.parametrize(
    ("operator", "wanted", "given", "met"),
    [
        # Epoch seconds are dates, too; the oracle takes them for milliseconds.
        ("DateEquals", "2026-01-01T00:00:00Z", "1767225600", True),
        ("DateLessThan", "2026", "2025-12-31T23:59:59Z", True),
        # The oracle's mask of /0 is that of /32.
        ("IpAddress", "0.0.0.0/0", "10.0.0.1", True),
        ("NotIpAddress", "0.0.0.0/0", "10.0.0.1", False),
        ("IpAddress", "10.0.0.1", "10.0.0.1", True),
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
        ("StringEquals", "a${*}", "a*", True),
        ("StringLike", "a${*}", "ab", False),
        ("StringLike", "a*", "ab", True),
        ("StringEquals", "a*", "ab", False),
        ("Bool", True, "true", True),
        ("NumericEquals", 5, "5", True),
        ("NumericEquals", "5", "five", False),
        ("NumericNotEquals", "5", "five", False),
        ("Null", "true", None, True),
        ("Null", "false", None, False),
        ("ForAllValues:StringEquals", ["a"], [], True),
        ("ForAnyValue:StringEquals", ["a"], [], False),
    ],
)
def test_condition(operator: str, wanted: Any, given: Any, met: bool) -> None:
    assert meets(operator, wanted, given) is met


def test_variables_in_arn_conditions() -> None:
    """The oracle does not resolve them; AWS documents that IAM does."""
    given = {"aws:username": "b", "aws:SourceArn": "arn:aws:sns:us-east-1:1:b"}
    wanted = {"ArnLike": {"aws:SourceArn": "arn:aws:sns:us-east-?:1:${aws:username}"}}
    assert ask(statement(Condition=wanted), context=given).allowed
    assert not ask(statement(Condition=wanted), context=given | {"aws:username": "c"}).allowed


def test_a_value_put_in_for_a_variable_has_no_wildcards() -> None:
    own = statement(Resource="arn:aws:s3:::bucket/${aws:username}")
    assert not ask(own, context={"aws:username": "*"}).allowed


def test_policies_of_the_older_version_have_no_variables() -> None:
    own = statement(Resource="arn:aws:s3:::bucket/${aws:username}")
    assert ask(own, context={"aws:username": "key"}).allowed
    assert not ask(own, context={"aws:username": "key"}, version="2008-10-17").allowed


def test_root_needs_no_policy_but_a_bucket_may_deny_it() -> None:
    assert ask(who=ROOT).allowed
    deny = document(statement("Deny", Principal="*"))
    decision = ask(who=ROOT, resource=deny)
    assert decision.explicit
    assert decision.kind is Kind.RESOURCE


def test_a_trust_policy_must_name_who_takes_a_role_on() -> None:
    def trusts(principal: Any, who: Principal, **context: str) -> Decision:
        trust = {
            "Effect": "Allow",
            "Principal": principal,
            "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}},
        }
        about = {"action": "sts:AssumeRole", "of": ROLE, "context": context}
        return ask(resource=document(trust), who=who, **about)  # type: ignore[arg-type]

    mine, other = {"aws:SourceAccount": ACCOUNT}, {"aws:SourceAccount": "111111111111"}
    service = {"Service": "ecs-tasks.amazonaws.com"}
    assert trusts(service, ECS, **mine).allowed
    assert trusts(service, ECS, **other) == Decision(False, None, Kind.TRUST)
    assert not trusts(service, WHO, **mine).allowed
    # The account named: the caller needs a policy of its own as well.
    assert not trusts({"AWS": ACCOUNT}, WHO, **mine).allowed
    assert trusts({"AWS": ROLE}, WHO, **mine).allowed


def test_an_operator_that_iam_does_not_have_is_refused() -> None:
    with pytest.raises(PolicyError, match="StringMatches"):
        ask(statement(Condition={"StringMatches": {"aws:key": "a"}}))


def test_what_is_no_policy_is_refused() -> None:
    with pytest.raises(PolicyError, match="policy own"):
        policy.parse("own", "{}")
