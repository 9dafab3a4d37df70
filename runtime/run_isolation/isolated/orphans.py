"""Tasks that no run needs, and tasks that a run does not know of: pure decisions.

A launcher may end between ``RunTask`` and its note on the run; a run may end, be canceled or be
deleted while its task is on its way. Each task carries its run and attempt as tags.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from run_isolation import tag_names
from run_isolation.tasks import TaskState

RUN_ID_TAG: Final = "dagster/run_id"
DEPLOYMENT_TAG: Final = "run_isolation/deployment"
"""Tags that RunTask puts on each isolated task, beside the attempt (``run_task.request``)."""

ENDING_SECONDS: Final = 10
"""How long the task may go on of a run that somebody else has ended: its worker may be about to
notice. Between two sweeps a minute passes, so most have longer."""

TEARDOWN_SECONDS: Final = 900
"""How long the process may go on of a run that has ended by its own word: Dagster tears resources
down after the last event of a run that is executed in one process
(dagster/_core/execution/api.py), and a warehouse or a cluster takes minutes for it."""


@dataclass(frozen=True)
class IsolatedTask:
    """A live task that was started for a run."""

    arn: str
    run_id: str
    attempt: int

    @classmethod
    def of(cls, state: TaskState, deployment: str) -> IsolatedTask | None:
        """The task, if an isolated launch of this deployment has started it and nobody ends it."""
        run_id, attempt = state.tags.get(RUN_ID_TAG), state.tags.get(tag_names.ATTEMPT, "")
        if run_id is None or not attempt.isdecimal() or state.stopping or state.stopped:
            return None
        if state.tags.get(DEPLOYMENT_TAG) != deployment:
            return None
        return cls(state.task_arn, run_id, int(attempt))


@dataclass(frozen=True)
class StoredRun:
    """What Dagster's storage says about a run."""

    status: str
    over: bool
    """Whether it has ended."""
    begun: bool
    """Whether it has ever begun."""
    attempt: int
    """The launch in charge."""
    task_arn: str | None
    """The task on record."""
    its_own_end: bool = False
    """Whether its own process has stored its end."""


@dataclass(frozen=True)
class Surplus:
    """A task that is to be stopped."""

    why: str
    """About its run, as the end of a sentence."""
    patience: float = 0.0
    """Seconds to wait before it is stopped."""
    deleted: bool = False
    """Whether the run is not stored at all."""
    superseded: bool = False
    """Whether only a newer launch speaks against it: not where it has claimed the run."""


def surplus(task: IsolatedTask, run: StoredRun | None) -> Surplus | None:
    """Why nobody needs this task; None where somebody does, or it is in doubt.

    Args:
        task: The task, as it was seen before the run was read. A run is stored before its task is
            launched, so one that is not there was deleted.
        run: Its run.
    """
    if run is None:
        return Surplus("was deleted", deleted=True)
    if run.over:
        its_own = run.begun and run.task_arn == task.arn
        patience = TEARDOWN_SECONDS if run.its_own_end else ENDING_SECONDS
        return Surplus(f"has ended ({run.status})", patience=patience if its_own else 0.0)
    if run.task_arn not in (None, task.arn) and run.attempt > task.attempt:
        why = f"goes on in task {run.task_arn}, attempt {run.attempt}"
        return Surplus(why, superseded=True)
    return None


def unknown(task: IsolatedTask, run: StoredRun) -> bool:
    """Whether this is the very task that the run waits for, and does not know of."""
    return not run.over and run.task_arn is None and run.attempt == task.attempt
