"""The watcher: no run waits for a task that will not come, and no canceled one for its end.

Dagster's monitor asks about STARTED runs only; one that waits for its task has its start timeout.
The watcher looks every few seconds: a query of the storage, and one call of ECS for a hundred
tasks. It remembers nothing that matters. What it does rests on what Dagster's storage, ECS and the
run's claim say at that moment, and each launch has the token of its run and attempt. So there may
be two watchers, or a launcher still at work, or nobody for a while.
"""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter
from dagster._daemon.daemon import DaemonIterator
from dagster._daemon.utils import DaemonErrorCapture

from run_isolation import start_run_timers, tag_names
from run_isolation.dagster import run_record
from run_isolation.dagster.deployment import Deployment
from run_isolation.dagster.run_record import RunTags
from run_isolation.dagster.watch.patience import Patience
from run_isolation.dagster.watch.remedies import IsolatedLaunches, Remedies
from run_isolation.isolated import waiting_runs
from run_isolation.isolated.waiting_runs import Step
from run_isolation.slots.decision import Kind
from run_isolation.tasks import TaskState, describe

_log: Final = logging.getLogger(__name__)

LAUNCHING_SECONDS: Final = 20
"""After so long a pass launches no more tasks, and starts no more runs: each may take its time
where AWS or a server has trouble, and dead tasks are to be seen within 30 seconds. The next pass
goes on."""


class NonIsolatedLaunches(Protocol):
    """Non-isolated launches that were begun and not finished."""

    def go_on(self, instance: DagsterInstance, run: DagsterRun) -> object:
        """Repeats StartRun at the server on record, or sends the run back to the queue."""


@dataclass
class Watcher:
    """Looks after runs that are STARTING or CANCELING, and STARTED ones that lost their task."""

    deployment: Deployment
    instance: DagsterInstance
    launches: IsolatedLaunches
    non_isolated: NonIsolatedLaunches
    logger: logging.Logger
    clock: Callable[[], float] = time.monotonic
    epoch: Callable[[], float] = time.time
    _patience: Patience = field(init=False)
    _hosted_runs: Collection[str] | None = None
    _tried: dict[str, float] = field(default_factory=dict)
    """When something was last done about each run, by ``clock``."""

    def __post_init__(self) -> None:
        self._patience = Patience(self.clock)
        self._remedies = Remedies(self.deployment, self.instance, self.launches)

    def watch(self) -> DaemonIterator:
        """One pass. Trouble with one run is logged and given, and the next run comes.

        Raises:
            Exception: The storage or ECS does not answer, so nothing is known about any run.
        """
        runs = self._unsettled()
        tasks = self._tasks(runs)
        begun = self.clock()
        self._hosted_runs = None
        with self._patience.one_pass():
            # What is to be done about a known task takes no time, so these come first; of the
            # others those that were tried the longest ago.
            self._tried = {run.run_id: self._tried.get(run.run_id, -math.inf) for run in runs}
            for run in sorted(runs, key=lambda run: (_takes_time(run), self._tried[run.run_id])):
                try:
                    self._look_after(
                        run, tasks, may_launch=self.clock() - begun < LAUNCHING_SECONDS
                    )
                except Exception:
                    yield DaemonErrorCapture.process_exception(
                        sys.exc_info(),
                        logger=self.logger,
                        log_message=f"Run {run.run_id} could not be looked after",
                    )
                else:
                    yield None

    def _unsettled(self) -> Sequence[DagsterRun]:
        waiting = [DagsterRunStatus.STARTING, DagsterRunStatus.CANCELING]
        # A launcher that resumes a run blanks the task of before, then launches another.
        resumed = RunsFilter(statuses=[DagsterRunStatus.STARTED], tags={tag_names.TASK_ARN: ""})
        found = [
            *self.instance.get_runs(RunsFilter(statuses=waiting)),
            *self.instance.get_runs(resumed),
        ]
        return [run for run in found if run_record.is_known(run)]

    def _tasks(self, runs: Sequence[DagsterRun]) -> Mapping[str, TaskState]:
        known = [run_record.read(run) for run in runs]
        arns = {ours.task_arn for ours in known if ours.task_arn and _has_own_task(ours)}
        if not arns:
            return {}
        return describe(self.deployment.ecs, self.deployment.manifest.cluster, arns)

    def _look_after(
        self, run: DagsterRun, tasks: Mapping[str, TaskState], *, may_launch: bool
    ) -> None:
        ours = run_record.read(run)
        task = tasks.get(ours.task_arn or "")
        seen = (run.run_id, run.status, ours, task is not None and task.missing)
        waited = self._patience.waited(seen)
        if not _has_own_task(ours) and not _was_never_hosted(run, ours):
            self._look_after_non_isolated(run, waited, may_launch=may_launch)
            return
        step = self._step(run, task, waited)
        if step is Step.WAIT or (step in (Step.GO_ON, Step.RELAUNCH) and not may_launch):
            return
        now = self._unchanged(run)
        if now is not None:
            self._tell(run, str(step), waited, task.status if task else "without a task")
            self._tried[run.run_id] = self.clock()
            self._remedies.take(step, now, task)
            self._patience.begin_again(seen)

    def _step(self, run: DagsterRun, task: TaskState | None, waited: float) -> Step:
        ours = run_record.read(run)
        wait = ours.wait
        if run.status is DagsterRunStatus.CANCELING:
            waits = wait is not None and _has_own_task(ours)
            return waiting_runs.of_canceling_run(task, waited, waits=waits)
        lost = self._remedies.tasks_lost(run) if task and (task.stopped or task.missing) else 0
        due = wait.is_over(self.epoch()) if wait else None
        return waiting_runs.of_starting_run(task, waited, lost, is_due=due)

    def _look_after_non_isolated(self, run: DagsterRun, waited: float, *, may_launch: bool) -> None:
        """A launcher that dies before its server has the run leaves a slot without a server."""
        if run.status is not DagsterRunStatus.STARTING or not may_launch:
            return
        wait = run_record.read(run).wait
        lost = waited >= start_run_timers.LOST_LAUNCHER_SECONDS
        if not (lost if wait is None else wait.is_over(self.epoch())):
            return
        if run.run_id in self._hosted():
            return
        now = self._unchanged(run)
        if now is not None:
            self._tell(run, "go on with the start", waited, "without a server in its slot")
            self._tried[run.run_id] = self.clock()
            self.non_isolated.go_on(self.instance, now)

    def _hosted(self) -> Collection[str]:
        """Runs whose slot a server has signed; read once in a pass, and only where it matters."""
        if self._hosted_runs is None:
            holders = self.deployment.slots.mended_holders()
            self._hosted_runs = {one.run_id for one in holders if one.hosted_by is not None}
        return self._hosted_runs

    def _tell(self, run: DagsterRun, step: str, waited: float, how: str) -> None:
        _log.debug(
            "Run %s, %s, %s for %.0f s: %s.", run.run_id, run.status.value, how, waited, step
        )

    def _unchanged(self, run: DagsterRun) -> DagsterRun | None:
        """The run as it is now, unless it has gone on since it was judged."""
        now = self.instance.get_run_by_id(run.run_id)
        if (
            now is None
            or now.status is not run.status
            or run_record.read(now) != run_record.read(run)
        ):
            _log.debug("Run %s has gone on since it was read: nothing is done.", run.run_id)
            return None
        return now


def _takes_time(run: DagsterRun) -> bool:
    """Whether something that takes its time may be done about a run: a launch, or a start."""
    ours = run_record.read(run)
    return ours.task_arn is None or not _has_own_task(ours)


def _has_own_task(ours: RunTags) -> bool:
    """Whether it is isolated. One of which nobody says so comes from the queue, so it is."""
    return ours.kind is not Kind.NON_ISOLATED


def _was_never_hosted(run: DagsterRun, ours: RunTags) -> bool:
    """Whether it is to end, and no server was ever asked to take it."""
    return run.status is DagsterRunStatus.CANCELING and ours.task_arn is None
