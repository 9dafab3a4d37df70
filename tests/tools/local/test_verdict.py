"""A run that ended elsewhere, or otherwise, than it should is never called good."""

from __future__ import annotations

from typing import Any

import pytest

from run_isolation.policy import Kind
from tools.local.demo import Ask
from tools.local.results import Launched
from tools.local.verdict import judge, judge_tasks

HOME, OWN = "arn:home", "arn:own"
SHARED = Ask("sales", "job", "why", Kind.NON_ISOLATED, "a slot was free")
ALONE = Ask("sales", "job", "why", Kind.ISOLATED, "the default")


def launched(ask: Ask, **other: Any) -> Launched:
    """What the ask should become."""
    good = {
        "run_id": "run",
        "location": ask.location,
        "job": ask.job,
        "why": ask.why,
        "kind": ask.becomes.value,
        "reason": f"Because: {ask.because}.",
        "task": HOME if ask is SHARED else OWN,
        "status": "SUCCESS",
        "seconds_to_start": 1.0,
    }
    return Launched.model_validate(good | other)


def task(**other: Any) -> dict[str, Any]:
    containers = [{"name": "dagster", "exitCode": 0}, {"name": "sidecar", "exitCode": 143}]
    return {"taskArn": OWN, "cpu": "4096", "memory": "16384", "containers": containers} | other


@pytest.mark.parametrize("ask", [SHARED, ALONE])
def test_as_it_should_be(ask: Ask) -> None:
    assert judge(ask, launched(ask), HOME) == []


@pytest.mark.parametrize(
    ("ask", "other", "fault"),
    [
        (SHARED, {"status": "FAILURE"}, "ended as FAILURE"),
        (SHARED, {"kind": "isolated"}, "became isolated, not non-isolated"),
        (SHARED, {"reason": "It was free."}, "does not say"),
        (SHARED, {"task": OWN}, "not executed in its location's standing container"),
        (ALONE, {"task": HOME}, "executed in the standing container"),
        (ALONE, {"kind": "unknown"}, "became unknown"),
    ],
)
def test_what_dagster_says(ask: Ask, other: dict[str, Any], fault: str) -> None:
    [found] = judge(ask, launched(ask, **other), HOME)
    assert fault in found


def test_an_isolated_run_has_one_task_of_its_size_that_ended_well() -> None:
    assert judge_tasks(ALONE, [task()]) == []


@pytest.mark.parametrize(
    ("ask", "tasks", "fault"),
    [
        (SHARED, [task()], "started task arn:own"),
        (ALONE, [], "started 0 tasks"),
        (ALONE, [task(), task()], "started 2 tasks"),
        (ALONE, [task(cpu="256")], "256 CPU units, 16384 MiB, not 4096 and 16384"),
        (ALONE, [task(containers=[{"name": "dagster", "exitCode": 3}])], "exit code 3"),
        (ALONE, [task(containers=[{"name": "dagster"}])], "exit code None"),
    ],
)
def test_what_ecs_says(ask: Ask, tasks: list[dict[str, Any]], fault: str) -> None:
    [found] = judge_tasks(ask, tasks)
    assert fault in found
