"""Every row of the watcher's decisions."""

from __future__ import annotations

import pytest

from run_isolation.isolated.waiting_runs import (
    LAUNCH_SECONDS,
    MISSING_SECONDS,
    MOST_TASKS,
    Step,
    of_canceling_run,
    of_starting_run,
)
from run_isolation.tasks import MISSING, TaskState

SPOT = TaskState("arn", "STOPPED", "SpotInterruption", "Your Spot Task was interrupted.")
BROKEN = TaskState("arn", "STOPPED", "EssentialContainerExited", exit_code=1)
DONE = TaskState("arn", "STOPPED", "EssentialContainerExited", exit_code=0)
NO_CONTAINERS = TaskState("arn", "STOPPED", "EssentialContainerExited")
GONE = TaskState("arn", MISSING)


@pytest.mark.parametrize("status", ["PROVISIONING", "PENDING", "RUNNING", "DEPROVISIONING"])
@pytest.mark.parametrize("waited", [0, 100_000])
def test_a_task_on_its_way_has_all_the_time(status: str, waited: float) -> None:
    assert of_starting_run(TaskState("arn", status), waited, 0) is Step.WAIT


@pytest.mark.parametrize(
    ("task", "waited", "lost", "step"),
    [
        (None, 0, 0, Step.WAIT),
        (None, LAUNCH_SECONDS - 1, 0, Step.WAIT),
        (None, LAUNCH_SECONDS, 0, Step.GO_ON),
        (GONE, MISSING_SECONDS - 1, 0, Step.WAIT),
        (GONE, MISSING_SECONDS, 0, Step.RELAUNCH),
        (GONE, MISSING_SECONDS, MOST_TASKS - 1, Step.FAIL),
        (SPOT, 0, 0, Step.RELAUNCH),
        (SPOT, 0, MOST_TASKS - 2, Step.RELAUNCH),
        (SPOT, 0, MOST_TASKS - 1, Step.FAIL),
        (BROKEN, 0, 0, Step.FAIL),
        (DONE, 0, 0, Step.FAIL),
        (NO_CONTAINERS, 0, 0, Step.FAIL),
    ],
)
def test_a_starting_run(task: TaskState | None, waited: float, lost: int, step: Step) -> None:
    assert of_starting_run(task, waited, lost) is step


@pytest.mark.parametrize("waited", [0, LAUNCH_SECONDS])
def test_a_run_that_says_when_its_launch_is_made_again(waited: float) -> None:
    assert of_starting_run(None, waited, 0, is_due=True) is Step.GO_ON
    assert of_starting_run(None, waited, 0, is_due=False) is Step.WAIT
    assert of_canceling_run(None, waited, waits=True) is Step.CANCEL


@pytest.mark.parametrize(
    ("task", "waited", "step"),
    [
        (None, LAUNCH_SECONDS - 1, Step.WAIT),
        (None, LAUNCH_SECONDS, Step.CANCEL),
        (GONE, MISSING_SECONDS - 1, Step.WAIT),
        (GONE, MISSING_SECONDS, Step.CANCEL),
        (SPOT, 0, Step.CANCEL),
        (DONE, 0, Step.CANCEL),
        (TaskState("arn", "PROVISIONING"), 0, Step.STOP),
        (TaskState("arn", "RUNNING"), 0, Step.STOP),
        (TaskState("arn", "RUNNING", stopping=True), 100_000, Step.WAIT),
    ],
)
def test_a_canceling_run(task: TaskState | None, waited: float, step: Step) -> None:
    assert of_canceling_run(task, waited) is step
