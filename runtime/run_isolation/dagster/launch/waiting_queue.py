"""Runs that wait in Dagster's queue because there was no room for their task.

Dagster's dequeuer decides, as ever, which runs may be launched now. It is told to leave those alone
that wait. One whose time has come, and that the dequeuer has chosen, is tried while it is still
QUEUED: a try in vain leaves no event, no status that sensors see, and no run in progress.

Where a version of Dagster is not built as we know it, such runs are launched at each pass, and sent
back: more calls and events, nothing else.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus

from run_isolation.dagster import run_record
from run_isolation.errors import RunIsolationError

MOST_TRIES: Final = 5
"""How many runs that wait a pass of the dequeuer tries: a call of RunTask each."""

_CHOOSE: Final = "_priority_sort"
"""Of Dagster's daemon: puts the queued runs in their order, before limits are looked at."""
_DEQUEUE: Final = "_dequeue_run"
"""Of Dagster's daemon: launches one run that it has chosen."""

_log: Final = logging.getLogger(__name__)


class IsolatedLaunches(Protocol):
    """Launches that were begun and not finished."""

    def go_on(self, instance: DagsterInstance, run: DagsterRun) -> bool:
        """Tries again. Returns whether there is a task, which is on record then."""


class WaitingQueue:
    """Keeps runs that wait out of the dequeuer's way.

    Args:
        launches: Makes their launches again.
        clock: Seconds of the epoch.
        toss: Whether those that wait come in their own order this time, as often as not.
    """

    def __init__(
        self,
        launches: IsolatedLaunches,
        clock: Callable[[], float] = time.time,
        toss: Callable[[], bool] = lambda: random.random() < 0.5,  # noqa: S311  # no secret
    ) -> None:
        self._launches = launches
        self._clock = clock
        self._toss = toss

    def join(self, dequeuer: Any) -> None:
        """Has one of Dagster's QueuedRunCoordinatorDaemons leave alone those that wait."""
        choose, dequeue = getattr(dequeuer, _CHOOSE, None), getattr(dequeuer, _DEQUEUE, None)
        if choose is None or dequeue is None:
            _log.warning(
                "Runs that wait for capacity are tried at each pass of the queue: Dagster's daemon "
                "has no %s or %s in this version.",
                _CHOOSE,
                _DEQUEUE,
            )
            return

        def dequeue_if_launched(
            instance: DagsterInstance, workspace: Any, run: DagsterRun, *rest: Any, **more: Any
        ) -> bool:
            if not self._may_be_dequeued(instance, run.run_id):
                return False
            return bool(dequeue(instance, workspace, run, *rest, **more))

        setattr(dequeuer, _CHOOSE, lambda runs: self.without_those_that_wait(choose(runs)))
        setattr(dequeuer, _DEQUEUE, dequeue_if_launched)

    def without_those_that_wait(self, runs: Iterable[DagsterRun]) -> list[DagsterRun]:
        """The runs that may be launched now, in their order.

        Of those that have waited, few are tried at once, and every other time after all others:
        where places are scarce neither keeps the other waiting for long.
        """
        now = self._clock()
        new: list[DagsterRun] = []
        waited: list[DagsterRun] = []
        chosen: list[DagsterRun] = []
        for run in runs:
            wait = run_record.read(run).wait if run_record.is_known(run) else None
            if wait is None:
                new.append(run)
                chosen.append(run)
            elif wait.is_over(now) and len(waited) < MOST_TRIES:
                waited.append(run)
                chosen.append(run)
        return chosen if self._toss() else new + waited

    def _may_be_dequeued(self, instance: DagsterInstance, run_id: str) -> bool:
        """Whether Dagster is to launch the run: one that waited has its task now, or must fail.

        Or it may have one: then it is for the watcher to find it.
        """
        run = instance.get_run_by_id(run_id)
        if (
            run is None
            or run.status is not DagsterRunStatus.QUEUED
            or not run_record.is_known(run)
            or run_record.read(run).wait is None
        ):
            return True
        try:
            return self._launches.go_on(instance, run) or _is_in_doubt(instance, run_id)
        except RunIsolationError as error:
            _log.debug("Run %s: its launch says why it must fail. %s", run_id, error)
            return True
        except Exception:
            # One run's trouble is not the others', which come after it.
            _log.exception("The launch of run %s could not be tried again.", run_id)
            return False


def _is_in_doubt(instance: DagsterInstance, run_id: str) -> bool:
    run = instance.get_run_by_id(run_id)
    wait = run_record.read(run).wait if run is not None else None
    return wait is not None and wait.in_doubt
