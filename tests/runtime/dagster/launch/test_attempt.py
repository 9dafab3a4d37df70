"""Which attempt each caller of the launcher makes, by what is on record."""

from __future__ import annotations

import pytest

from run_isolation.dagster.launch.attempt import Attempt
from run_isolation.dagster.run_record import RunTags
from run_isolation.slots.decision import Kind

UNKNOWN = RunTags()
DECIDED = RunTags(Kind.ISOLATED, 2)
LAUNCHED = RunTags(Kind.ISOLATED, 2, "arn:task/2")
HOSTED = RunTags(Kind.NON_ISOLATED, 1, "arn:task/standing", "10.0.0.1:4001")


@pytest.mark.parametrize(
    ("ours", "number", "stored"), [(UNKNOWN, 1, False), (DECIDED, 2, True), (HOSTED, 2, False)]
)
def test_a_launch_makes_the_attempt_on_record_if_it_is_one_of_an_isolated_run(
    ours: RunTags, number: int, stored: bool
) -> None:
    assert Attempt.of_launch(ours) == Attempt(number, stored)


def test_a_launch_of_a_run_that_has_a_task_makes_none() -> None:
    assert Attempt.of_launch(LAUNCHED) is None


@pytest.mark.parametrize(
    ("ours", "number", "stored"),
    [(UNKNOWN, 1, False), (DECIDED, 2, True), (LAUNCHED, 3, False), (HOSTED, 2, False)],
)
def test_resuming_is_the_next_attempt_unless_the_last_one_has_no_task_yet(
    ours: RunTags, number: int, stored: bool
) -> None:
    assert Attempt.of_resume(ours) == Attempt(number, stored)


def test_the_watcher_sends_the_stored_attempt_again_or_makes_the_next() -> None:
    assert Attempt.again(DECIDED) == Attempt(2, stored=True)
    assert Attempt.again(UNKNOWN) == Attempt(1, stored=False)
    assert Attempt.after_loss(LAUNCHED) == Attempt(3, stored=False)
