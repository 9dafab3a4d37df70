"""What each role may and may not, decided as IAM decides; and that nothing in a policy is idle.

Asked are all that an end-to-end run has asked (`tests/rights/record.json`) and what must be refused
(`tests/rights/requests.py`), of the policies as the program registers them. Their text is held in
test_policy_statements.py.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence

from infra.statement_builders import Statement
from localaws.iam.policy import Policy
from tests.rights import reasons, record
from tests.rights.granted import granted
from tests.rights.replay import Replayed, at_each_location, parsed
from tests.rights.requests import BESIDE, LARGEST, REFUSED, Asked, recorded

IDLE: Mapping[str, str] = {}
"""What of a policy may go and no answer changes, with the reason. Nothing, today."""


def wrong(requests: Sequence[Asked]) -> list[Asked]:
    """The requests that are not answered as they should be."""
    policies = parsed(granted().policies)
    return [
        one.asked
        for one in at_each_location(requests)
        if one.decide(policies).allowed != one.asked.allowed
    ]


def test_what_an_end_to_end_run_asked_for_is_answered_as_it_was() -> None:
    assert wrong(recorded()) == []
    assert grants(recorded()) == {one.grant for one in record.read() if one.actor != record.ECS}


def test_what_must_be_refused_is_refused() -> None:
    assert wrong(REFUSED) == []


def test_a_run_may_be_as_large_as_its_location_allows() -> None:
    assert wrong([LARGEST]) == []


def test_each_grant_is_used_or_has_a_reason() -> None:
    used = {one.grant for one in record.read()}
    assert {one for one in granted().grants if one not in used} == set(reasons.UNUSED)


def test_what_has_a_reason_is_asked_here_in_place_of_an_end_to_end_test() -> None:
    assert wrong(BESIDE) == []
    assert grants(BESIDE) == set(reasons.UNUSED)


def test_what_was_denied_has_a_reason() -> None:
    denied = {(one.actor, one.action) for one in record.read() if not one.by}
    assert denied == set(reasons.DENIED)


def grants(requests: Sequence[Asked]) -> set[str]:
    """What of the policies these requests use, but for trust policies."""
    policies = parsed(granted().policies)
    used = (one.grant(policies) for one in at_each_location(requests))
    return {one for one in used if one is not None}


def mutants(statements: Sequence[Statement]) -> Iterator[tuple[str, list[Statement]]]:
    """The policy with each statement, and each condition key, taken away in turn."""
    for number, statement in enumerate(statements):
        sid = statement.get("Sid", number)
        yield f"{sid}", [*statements[:number], *statements[number + 1 :]]
        for operator, block in statement.get("Condition", {}).items():
            for key in block:
                mutated = copy.deepcopy(list(statements))
                condition = mutated[number]["Condition"]
                del condition[operator][key]
                if not condition[operator]:
                    del condition[operator]
                yield f"{sid}: {operator} {key}", mutated


def test_with_any_statement_or_condition_key_taken_away_an_answer_changes() -> None:
    policies = parsed(granted().policies)
    requests = at_each_location([*recorded(), *REFUSED, *BESIDE])
    unnoticed = [
        f"{name} {what}"
        for name, statements in granted().policies.items()
        for what, mutated in mutants(statements)
        if not noticed(
            [one for one in requests if one.about(name)], policies | parsed({name: mutated})
        )
    ]
    assert unnoticed == list(IDLE)


def noticed(requests: Sequence[Replayed], policies: Mapping[str, Policy]) -> bool:
    return any(one.decide(policies).allowed != one.asked.allowed for one in requests)
