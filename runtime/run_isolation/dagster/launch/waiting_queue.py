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
from threading import Semaphore
from typing import Any, Final, Protocol

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus

from run_isolation.dagster import run_record
from run_isolation.errors import RunIsolationError
from run_isolation.isolated.retries import Wait

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
        self._tries = Semaphore(0)
        """Those that are left of a pass. Dagster may dequeue in threads."""

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
            if not self._may_be_dequeued(instance, run):
                return False
            return bool(dequeue(instance, workspace, run, *rest, **more))

        setattr(dequeuer, _CHOOSE, lambda runs: self.without_those_that_wait(choose(runs)))
        setattr(dequeuer, _DEQUEUE, dequeue_if_launched)

    def without_those_that_wait(self, runs: Iterable[DagsterRun]) -> list[DagsterRun]:
        """The runs that may be launched now, in their order.

        Those that have waited are there as well, as a limit of Dagster's may keep any of them: few
        are tried then. Among them those come first whose time came first, so that all have their
        turn, however many they are; and every other time they come after all others: where places
        are scarce neither keeps the other waiting for long.
        """
        now = self._clock()
        self._tries = Semaphore(MOST_TRIES)
        chosen = [run for run in runs if _may_be_tried(run, now)]
        new = [run for run in chosen if _wait(run) is None]
        waited = sorted((run for run in chosen if _wait(run)), key=_until)
        if not self._toss():
            return new + waited
        turns = iter(waited)
        return [next(turns) if _wait(run) else run for run in chosen]

    def _may_be_dequeued(self, instance: DagsterInstance, chosen: DagsterRun) -> bool:
        """Whether Dagster is to launch the run: one that waited has its task now, or must fail.

        Or it may have one: then it is for the watcher to find it.
        """
        if _wait(chosen) and not self._tries.acquire(blocking=False):
            return False
        run = instance.get_run_by_id(chosen.run_id)
        if run is None or run.status is not DagsterRunStatus.QUEUED or _wait(run) is None:
            return True
        if not _may_be_tried(run, self._clock()):
            return False  # another daemon, which this one replaces, has just tried it
        try:
            return self._launches.go_on(instance, run) or _is_in_doubt(instance, run.run_id)
        except RunIsolationError as error:
            _log.debug("Run %s: its launch says why it must fail. %s", run.run_id, error)
            return True
        except Exception:
            # One run's trouble is not the others', which come after it.
            _log.exception("The launch of run %s could not be tried again.", run.run_id)
            return False


def _wait(run: DagsterRun) -> Wait | None:
    return run_record.read(run).wait if run_record.is_known(run) else None


def _may_be_tried(run: DagsterRun, now: float) -> bool:
    wait = _wait(run)
    return wait is None or wait.is_over(now)


def _until(run: DagsterRun) -> float:
    wait = _wait(run)
    return wait.until if wait else 0.0


def _is_in_doubt(instance: DagsterInstance, run_id: str) -> bool:
    run = instance.get_run_by_id(run_id)
    wait = _wait(run) if run is not None else None
    return wait is not None and wait.in_doubt
