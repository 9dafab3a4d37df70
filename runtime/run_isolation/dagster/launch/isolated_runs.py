"""Isolated runs once they are launched: each in a task of its own."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError
from dagster import DagsterInstance, DagsterRun
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus
from dagster._time import get_current_timestamp

from run_isolation.dagster import run_record
from run_isolation.dagster.deployment import Deployment
from run_isolation.dagster.ends.stored_end import is_over
from run_isolation.dagster.launch.post_mortem import output, verdict
from run_isolation.dagster.launch.started_tasks import StartedTasks
from run_isolation.isolated import waiting_runs
from run_isolation.isolated.stop_reasons import passes_by_itself
from run_isolation.tasks import describe, stop, task_id


class IsolatedRuns:
    """Stops them, and says how they are. One for each process: it remembers what ECS said."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._tasks = StartedTasks(deployment)

    def terminate(self, instance: DagsterInstance, run: DagsterRun) -> bool:
        """Stops the run's task: one call. Its worker then reports the run canceled.

        A cancel is never lost. Where the task is not known yet, or ECS does not answer, or the task
        ends before its worker begins, the watcher goes on with it.

        Returns:
            True: the run ends.
        """
        task_arn = run_record.read(run).task_arn
        if task_arn is None:
            instance.report_engine_event(
                "No task of this run is known yet; the run ends as soon as there is one, or "
                "without one.",
                run,
            )
            return True
        reason = f"Run {run.run_id} was canceled in Dagster."
        try:
            task = stop(self._deployment.ecs, self._deployment.manifest.cluster, task_arn, reason)
        except (BotoCoreError, ClientError) as error:
            instance.report_engine_event(
                f"ECS task {task_arn} could not be stopped: {error} `run-isolation daemon` goes on "
                "trying.",
                run,
            )
            return True
        if task.stopped and not is_over(instance, run.run_id):
            instance.report_run_canceled(run, message=verdict(self._deployment, run, task))
        return True

    def health(self, instance: DagsterInstance, run: DagsterRun) -> CheckRunHealthResult:
        """Whether the task of a STARTED run is there.

        A stopped one has failed, whatever its exit code: it left a run that had not ended.

        Raises:
            botocore.exceptions.BotoCoreError: ECS could not be asked, so nothing is known.
            botocore.exceptions.ClientError: ECS refused.
        """
        task_arn = run_record.read(run).task_arn
        if task_arn is None:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "Its task is not known yet.")
        task = self._tasks.state(instance, task_arn)
        running = not task.stopped and not task.missing
        if running or (task.missing and not _gone(instance, run)):
            return CheckRunHealthResult(WorkerStatus.RUNNING, run_worker_id=task_id(task_arn))
        return CheckRunHealthResult(
            WorkerStatus.NOT_FOUND if task.missing else WorkerStatus.FAILED,
            f"{verdict(self._deployment, run, task)} The run had not ended.",
            transient=passes_by_itself(task),
            run_worker_id=task_id(task_arn),
        )

    def debug_info(self, run: DagsterRun, *, lines: bool) -> str | None:
        """What ECS says about the run's task, the last lines of its output, and where it is."""
        task_arn = run_record.read(run).task_arn
        if task_arn is None:
            return None
        cluster = self._deployment.manifest.cluster
        task = describe(self._deployment.ecs, cluster, [task_arn])[task_arn]
        said = output(self._deployment, run, "isolated", task_arn, lines=lines)
        return f"{verdict(self._deployment, run, task)}\n{said}"


def _gone(instance: DagsterInstance, run: DagsterRun) -> bool:
    """Whether ECS has had time enough to know the task of a run that has begun."""
    record = instance.get_run_record_by_id(run.run_id)
    if record is None or record.start_time is None:
        return False
    return get_current_timestamp() - record.start_time > waiting_runs.MISSING_SECONDS
