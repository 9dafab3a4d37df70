"""What the watcher does about a run: each is safe to do twice, and by two watchers at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from dagster import DagsterEventType, DagsterInstance, DagsterRun

from run_isolation.dagster import run_record
from run_isolation.dagster.deployment import Deployment
from run_isolation.dagster.ends.stored_end import is_over
from run_isolation.dagster.launch.advertised import RunNotLaunchableError
from run_isolation.dagster.launch.post_mortem import output, verdict
from run_isolation.errors import LaunchError, ManifestError
from run_isolation.isolated.claims import Claim, claimed_by
from run_isolation.isolated.run_task import started_by
from run_isolation.isolated.waiting_runs import MOST_TASKS, Step
from run_isolation.tasks import TaskState, live_tasks, stop

_LOST: Final = "Lost before the run began:"
"""How the events begin by which lost tasks are counted."""


class IsolatedLaunches(Protocol):
    """Launches that were begun and not finished."""

    def go_on(self, instance: DagsterInstance, run: DagsterRun) -> bool:
        """Repeats the stored attempt: finds its task if there is one, else launches it.

        Returns:
            Whether a task is on record now. If not, the run says when it is tried again.

        Raises:
            LaunchError: The run can't have a task.
            ManifestError: The run can't have a task.
            RunNotLaunchableError: The run can't have a task.
        """

    def relaunch(self, instance: DagsterInstance, run: DagsterRun, why: str) -> bool:
        """Launches the attempt after the one on ``run``, and says why in an event.

        Returns and raises as ``go_on`` does. The event begins with ``why``.
        """


@dataclass(frozen=True)
class Remedies:
    """Carries out the steps of :mod:`run_isolation.isolated.waiting_runs`."""

    deployment: Deployment
    instance: DagsterInstance
    launches: IsolatedLaunches

    def take(self, step: Step, run: DagsterRun, task: TaskState | None) -> None:
        """Takes one step.

        Args:
            step: What to do.
            run: The run as storage has it now.
            task: Its task on record; None where there is none.

        Raises:
            Exception: Of the storage or of AWS; then nothing is lost, and it can be tried again.
        """
        if step is Step.GO_ON:
            self._launch(run, lambda: self.launches.go_on(self.instance, run))
        elif step is Step.CANCEL:
            self._cancel(run, task)
        elif task is None:
            raise AssertionError(f"{step} needs a task")
        elif step is Step.STOP:
            self._stop(run, task.task_arn)
        elif not self._adopted_winner(run, task):
            self._relaunch_or_fail(step, run, task)

    def tasks_lost(self, run: DagsterRun) -> int:
        """How many tasks the run has lost already; two watchers tell of one in the same words."""
        events = self.instance.all_logs(run.run_id, of_type=DagsterEventType.ENGINE_EVENT)
        return len({event.message for event in events if event.message.startswith(_LOST)})

    def adopt(self, run: DagsterRun, attempt: int, task_arn: str, why: str) -> None:
        """Notes a task on the run that was not on record."""
        run_record.write(self.instance, run, attempt=attempt, task_arn=task_arn)
        self.instance.report_engine_event(
            f"ECS task {task_arn}, attempt {attempt}, is the one of this run: {why}", run
        )

    def _relaunch_or_fail(self, step: Step, run: DagsterRun, task: TaskState) -> None:
        lost = f"{_LOST} {verdict(self.deployment, run, task)}"
        if step is Step.RELAUNCH:
            self._launch(run, lambda: self.launches.relaunch(self.instance, run, lost), lost)
            return
        if self.tasks_lost(run) + 1 >= MOST_TASKS:
            lost = f"{lost} It was the last of {MOST_TASKS} tasks that a run may have."
        logs = output(self.deployment, run, "isolated", task.task_arn)
        self.instance.report_run_failed(run, f"{lost}\n{logs}")

    def _launch(self, run: DagsterRun, launch: Callable[[], bool], said: str = "") -> None:
        try:
            launch()
        except (LaunchError, ManifestError, RunNotLaunchableError) as error:
            why = " ".join(part for part in (said, str(error)) if part)
            self.instance.report_run_failed(run, f"The run can't have a task of its own. {why}")

    def _adopted_winner(self, run: DagsterRun, task: TaskState) -> bool:
        """Whether another task than the one on record has claimed the run, and is noted now.

        Two tasks of one attempt: ECS forgot the launch's token before it was repeated.
        """
        winner = self._claim(run)
        ours = run_record.read(run)
        if winner is None or winner.task_arn == task.task_arn or winner.attempt < ours.attempt:
            return False
        why = f"it has claimed the run. {verdict(self.deployment, run, task)}"
        self.adopt(run, winner.attempt, winner.task_arn, why)
        return True

    def _claim(self, run: DagsterRun) -> Claim | None:
        slots = self.deployment.slots
        return claimed_by(slots.client, slots.table, run.run_id)

    def _cancel(self, run: DagsterRun, task: TaskState | None) -> None:
        if task is not None:
            self._say_canceled(run, verdict(self.deployment, run, task))
            return
        cluster = self.deployment.manifest.cluster
        found = live_tasks(self.deployment.ecs, cluster, started_by=started_by(run.run_id))
        for task_arn in found:
            self._stop(run, task_arn)
        if not found:
            self._say_canceled(run, "Canceled before it had a task.")

    def _say_canceled(self, run: DagsterRun, why: str) -> None:
        if not is_over(self.instance, run.run_id):
            self.instance.report_run_canceled(run, why)

    def _stop(self, run: DagsterRun, task_arn: str) -> None:
        reason = f"Run {run.run_id} was canceled in Dagster."
        stop(self.deployment.ecs, self.deployment.manifest.cluster, task_arn, reason)
        self.instance.report_engine_event(
            f"Asked ECS to stop task {task_arn}: the run is canceled.", run
        )
