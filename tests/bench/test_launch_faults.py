"""Words are made of what was seen, and nothing bad goes without a word."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.launch_faults.measure import words
from tests.faults.stage import Seen
from tests.faults.table import FAULTS

GOOD = Seen(
    status="SUCCESS",
    ended=True,
    executed=1,
    finished=True,
    tasks=1,
    tasks_left=0,
    slots_left=0,
    told=True,
    seconds=4.2,
)


def test_a_good_end_is_few_words() -> None:
    assert GOOD.kept
    assert words(GOOD) == "SUCCESS, after 4 s"


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        ({"ended": False, "status": "STARTED"}, "STARTED for ever, nothing after 4 s"),
        ({"executed": 2}, "executed 2 times"),
        ({"finished": False}, "which is not true"),
        ({"status": "FAILURE"}, "which is not true"),
        ({"tasks_left": 1}, "1 tasks left"),
        ({"slots_left": 1}, "1 slots left"),
    ],
)
def test_each_thing_that_must_not_be_is_said_and_judged(bad: dict[str, object], word: str) -> None:
    seen = replace(GOOD, **bad)  # type: ignore[arg-type]
    assert not seen.kept
    assert word in words(seen)


def test_a_failure_without_its_cause_does_not_hold() -> None:
    [denied] = [fault for fault in FAULTS if fault.name == "AccessDenied"]
    seen = replace(GOOD, status="FAILURE", executed=0, finished=False)
    assert denied.held(seen)
    assert not denied.held(replace(seen, told=False))
    assert "does not say why" in words(replace(seen, told=False))


def test_a_fault_at_each_step_holds_only_if_all_steps_do() -> None:
    [killed] = [fault for fault in FAULTS if "each step" in fault.name]
    assert killed.held(replace(GOOD, steps=9, steps_good=9))
    assert not killed.held(replace(GOOD, steps=9, steps_good=8, step="3. before RunTask"))


def test_no_two_faults_share_a_name() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
