"""Isolated runs once they are launched: each in a task of its own."""

from __future__ import annotations

from typing import Final

from dagster import DagsterInstance, DagsterRun
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus
from dagster._time import get_current_timestamp

from run_isolation.dagster import run_tags
from run_isolation.dagster.deployment import Deployment
from run_isolation.isolated import CONTAINER, stop
from run_isolation.tasks import TaskState, describe, task_id

MISSING_GRACE_SECONDS: Final = 300
"""How long after a run's start ECS may still not know its task
(https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html: eventual consistency,
wait up to five minutes)."""


class IsolatedRuns:
    """Stops and watches them."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment

    def terminate(self, instance: DagsterInstance, run: DagsterRun) -> bool:
        """Stops the run's task; its worker then reports the run canceled.

        Returns:
            True: where no task is known yet, whoever starts one finds the run CANCELING.
        """
        task_arn = run_tags.read(run).task_arn
        if task_arn is None:
            instance.report_engine_event(
                "No task of this run is known yet; it ends as soon as there is one.", run
            )
            return True
        state = self._state(task_arn)
        if state.stopped:
            instance.report_run_canceled(
                run, message=f"Its task {task_arn} had stopped before: {state.reason}."
            )
            return True
        self._stop(task_arn, f"Run {run.run_id} was canceled in Dagster.")
        return True

    def health(self, instance: DagsterInstance, run: DagsterRun) -> CheckRunHealthResult:
        """Whether the task of a STARTED run is there.

        A stopped one has failed, whatever its exit code: it left a run that had not ended.

        Raises:
            botocore.exceptions.BotoCoreError: ECS could not be asked, so nothing is known.
        """
        task_arn = run_tags.read(run).task_arn
        if task_arn is None:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "Its task is not known yet.")
        state = self._state(task_arn)
        if state.stopped:
            return CheckRunHealthResult(
                WorkerStatus.FAILED,
                f"ECS task {task_arn} stopped before the run ended: {state.reason}.",
                run_worker_id=task_id(task_arn),
            )
        if state.missing and _started_seconds_ago(instance, run) > MISSING_GRACE_SECONDS:
            return CheckRunHealthResult(
                WorkerStatus.NOT_FOUND,
                f"ECS no longer knows task {task_arn}.",
                run_worker_id=task_id(task_arn),
            )
        return CheckRunHealthResult(WorkerStatus.RUNNING, run_worker_id=task_id(task_arn))

    def debug_info(self, run: DagsterRun) -> str | None:
        """What ECS says about the run's task, and where its output is."""
        task_arn = run_tags.read(run).task_arn
        if task_arn is None or run.remote_job_origin is None:
            return None
        state = self._state(task_arn)
        location = self._deployment.location(run.remote_job_origin.location_name)
        return (
            f"Task {task_arn}: {state.status}. {state.reason}\n"
            f"Output: log group {location.log_group}, "
            f"stream isolated/{CONTAINER}/{task_id(task_arn)}."
        )

    def _state(self, task_arn: str) -> TaskState:
        cluster = self._deployment.manifest.cluster
        return describe(self._deployment.ecs, cluster, [task_arn])[task_arn]

    def _stop(self, task_arn: str, reason: str) -> None:
        stop(self._deployment.ecs, self._deployment.manifest, task_arn, reason)


def _started_seconds_ago(instance: DagsterInstance, run: DagsterRun) -> float:
    record = instance.get_run_record_by_id(run.run_id)
    if record is None or record.start_time is None:
        return 0.0
    return get_current_timestamp() - record.start_time
