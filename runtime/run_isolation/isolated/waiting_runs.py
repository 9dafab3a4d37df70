"""What becomes of a run that has not begun, or is to end, judged by its task: pure decisions.

Time is how long the watcher itself has seen a thing to be so, by its own monotonic clock: nothing
here rests on another machine's clock.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from run_isolation.isolated.stop_reasons import passes_by_itself
from run_isolation.tasks import TaskState

MOST_TASKS: Final = 3
"""How many tasks a run gets that has not begun: the first, and two when ECS lost the one before."""

LAUNCH_SECONDS: Final = 90
"""How long a launch may take until its task, or that it waits, is on record: it makes three RunTask
calls at most, each of which answers within 12 seconds (``aws.ONCE``). Going on earlier would do
no harm either, since the repeated request has the same token."""

MISSING_SECONDS: Final = 300
"""How long ECS may not know a task that it has started
(https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html: eventual consistency,
wait up to five minutes)."""


class Step(StrEnum):
    """What to do next about a run."""

    WAIT = "wait"
    GO_ON = "go on with the launch"
    RELAUNCH = "launch another task"
    FAIL = "fail the run"
    STOP = "stop the task"
    CANCEL = "end the run as canceled"


def of_starting_run(
    task: TaskState | None, waited: float, tasks_before: int, *, is_due: bool | None = None
) -> Step:
    """The next step about a run that waits for its task.

    Args:
        task: The task on record; None where there is none.
        waited: Seconds for which the watcher has seen this run with this record.
        tasks_before: How many tasks this run has lost before this one.
        is_due: Whether it is time for the next try of its launch; None where a launcher may be at
            work.
    """
    if task is None:
        due = waited >= LAUNCH_SECONDS if is_due is None else is_due
        return Step.GO_ON if due else Step.WAIT
    if task.missing and waited < MISSING_SECONDS:
        return Step.WAIT
    if not task.missing and not task.stopped:
        return Step.WAIT
    lost = task.missing or passes_by_itself(task)
    return Step.RELAUNCH if lost and tasks_before + 1 < MOST_TASKS else Step.FAIL


def of_canceling_run(task: TaskState | None, waited: float, *, waits: bool = False) -> Step:
    """The next step about a run that is to end.

    Args:
        task: The task on record; None where there is none.
        waited: Seconds for which the watcher has seen this run with this record.
        waits: Whether no launcher is at work on it: its launch is to be made again later.
    """
    if task is None:
        return Step.CANCEL if waits or waited >= LAUNCH_SECONDS else Step.WAIT
    if task.missing:
        return Step.CANCEL if waited >= MISSING_SECONDS else Step.WAIT
    if task.stopped:
        return Step.CANCEL
    return Step.WAIT if task.stopping else Step.STOP
