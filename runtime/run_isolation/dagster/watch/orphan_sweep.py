"""The sweep: tasks that no run needs are stopped, tasks that their run does not know are noted."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from dagster import DagsterInstance, DagsterRun, RunRecord, RunsFilter
from dagster._daemon.daemon import DaemonIterator
from dagster._daemon.utils import DaemonErrorCapture

from run_isolation import tag_names
from run_isolation.dagster import run_record
from run_isolation.dagster.deployment import Deployment
from run_isolation.dagster.ends.stored_end import was_its_own
from run_isolation.dagster.watch.patience import Patience
from run_isolation.isolated.claims import claimed_by
from run_isolation.isolated.orphans import IsolatedTask, StoredRun, Surplus, surplus, unknown
from run_isolation.slots.decision import Kind
from run_isolation.tasks import describe, live_tasks, stop

_log: Final = logging.getLogger(__name__)


@dataclass
class OrphanSweep:
    """Looks at all live tasks of the cluster that were started for runs."""

    deployment: Deployment
    instance: DagsterInstance
    logger: logging.Logger
    clock: Callable[[], float] = time.monotonic
    _patience: Patience = field(init=False)

    def __post_init__(self) -> None:
        self._patience = Patience(self.clock)

    def sweep(self) -> DaemonIterator:
        """One pass. Trouble with one task is logged and given, and the next task comes.

        Raises:
            Exception: The storage or ECS does not answer: nothing is done.
        """
        found = self._live()
        # Read after the tasks were: a run is stored before its task is launched.
        records = self._records(found)
        with self._patience.one_pass():
            for task in found:
                try:
                    self._judge(task, records.get(task.run_id))
                except Exception:
                    yield DaemonErrorCapture.process_exception(
                        sys.exc_info(),
                        logger=self.logger,
                        log_message=f"ECS task {task.arn} could not be judged",
                    )
                else:
                    yield None

    def _live(self) -> Sequence[IsolatedTask]:
        ecs, manifest = self.deployment.ecs, self.deployment.manifest
        states = describe(ecs, manifest.cluster, live_tasks(ecs, manifest.cluster), tags=True)
        found = [IsolatedTask.of(state, manifest.deployment) for state in states.values()]
        return [task for task in found if task is not None]

    def _records(self, found: Sequence[IsolatedTask]) -> Mapping[str, RunRecord]:
        if not found:
            return {}
        wanted = RunsFilter(run_ids=sorted({task.run_id for task in found}))
        return {
            record.dagster_run.run_id: record for record in self.instance.get_run_records(wanted)
        }

    def _judge(self, task: IsolatedTask, record: RunRecord | None) -> None:
        if record is not None and not run_record.is_known(record.dagster_run):
            return
        run = self._stored(record) if record else None
        verdict = surplus(task, run)
        if verdict is not None:
            self._stop(task, verdict)
        elif record is not None and run is not None and unknown(task, run):
            self._adopt(task, record.dagster_run)

    def _stored(self, record: RunRecord) -> StoredRun:
        run = record.dagster_run
        ours = run_record.read(run)
        return StoredRun(
            status=run.status.value,
            over=run.is_finished,
            begun=record.start_time is not None,
            attempt=ours.attempt,
            task_arn=ours.task_arn,
            its_own_end=run.is_finished and was_its_own(self.instance, run.run_id),
        )

    def _stop(self, task: IsolatedTask, verdict: Surplus) -> None:
        waited = self._patience.waited((task.arn, verdict))
        _log.debug("Run %s %s, for %.0f s: task %s", task.run_id, verdict.why, waited, task.arn)
        if waited < verdict.patience:
            return
        if verdict.superseded and self._has_claimed(task):
            return
        if verdict.deleted and not self._knows_runs():
            self.logger.warning(
                "ECS task %s is left alone: Dagster's storage has no isolated run at all, so it "
                "may not be this deployment's. Check the daemon's dagster.yaml.",
                task.arn,
            )
            return
        why = f"run {task.run_id} {verdict.why}"
        stop(self.deployment.ecs, self.deployment.manifest.cluster, task.arn, f"Orphan: {why}.")
        self.logger.info("ECS task %s, attempt %d, is stopped: %s.", task.arn, task.attempt, why)

    def _adopt(self, task: IsolatedTask, run: DagsterRun) -> None:
        run_record.write(
            self.instance, run, kind=Kind.ISOLATED, attempt=task.attempt, task_arn=task.arn
        )
        self.instance.report_engine_event(
            f"Found ECS task {task.arn} of attempt {task.attempt}: whoever launched it ended "
            "before it could be noted on this run.",
            run,
        )
        self.logger.info(
            "ECS task %s, attempt %d, is adopted by run %s: it was not on record.",
            task.arn,
            task.attempt,
            task.run_id,
        )

    def _has_claimed(self, task: IsolatedTask) -> bool:
        slots = self.deployment.slots
        claim = claimed_by(slots.client, slots.table, task.run_id)
        return claim is not None and claim.task_arn == task.arn

    def _knows_runs(self) -> bool:
        """Whether any isolated run is stored: a wrong or new database has none."""
        isolated = RunsFilter(tags={tag_names.KIND: Kind.ISOLATED.value})
        return bool(self.instance.get_runs(isolated, limit=1))
