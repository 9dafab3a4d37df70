"""Isolated runs: each in a task of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus
from dagster._time import get_current_timestamp

from run_isolation import tags
from run_isolation.dagster import run_tags
from run_isolation.dagster.deployment import Deployment
from run_isolation.errors import RunIsolationError
from run_isolation.isolated import CONTAINER, IsolatedLaunch, launch_isolated
from run_isolation.policy import Kind
from run_isolation.tasks import TaskState, describe, task_id

if TYPE_CHECKING:
    from collections.abc import Mapping

CONTEXT_KEY: Final = "run_isolation"
TASK_DEFINITION_KEY: Final = "task_definition"
"""A code server advertises the exact revision of its own isolated task definition as
``container_context["run_isolation"]["task_definition"]``. Dagster stores it with each run."""

MISSING_GRACE_SECONDS: Final = 300
"""How long after a run's start ECS may still not know its task
(https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html: eventual consistency,
wait up to five minutes)."""


class RunNotLaunchableError(RunIsolationError):
    """The run itself lacks or misstates what a launch needs."""


class IsolatedRuns:
    """Launches, stops and watches them."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment

    def launch(self, instance: DagsterInstance, run: DagsterRun) -> None:
        """Starts a task for the run, as its next attempt, which is stored before the call.

        Raises:
            RunNotLaunchableError: The run can't be launched as it is.
            ManifestError: The deployment is not known.
            LaunchError: RunTask gave no task.
        """
        attempt = run_tags.read(run).attempt + 1
        launch = IsolatedLaunch(
            run_id=run.run_id,
            attempt=attempt,
            location=run.remote_job_origin.location_name if run.remote_job_origin else "",
            task_definition=task_definition(run),
            cpu=_number(run.tags, tags.ECS_CPU),
            memory=_number(run.tags, tags.ECS_MEMORY),
            ephemeral_storage=_number(run.tags, tags.ECS_EPHEMERAL_STORAGE),
        )
        run_tags.write(instance, run, kind=Kind.ISOLATED, attempt=attempt, task_arn="", address="")
        task_arn = launch_isolated(self._deployment.ecs, self._deployment.manifest, launch)
        self._hand_over(instance, run.run_id, launch, task_arn)

    def _hand_over(
        self, instance: DagsterInstance, run_id: str, launch: IsolatedLaunch, task_arn: str
    ) -> None:
        """Records the task on the run, or stops it if nobody wants the run any more."""
        run = instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            self._stop(task_arn, f"Run {run_id} was deleted or ended before its task started.")
            return
        run_tags.write(instance, run, task_arn=task_arn)
        instance.report_engine_event(
            f"Started ECS task {task_arn} of {launch.task_definition}, attempt {launch.attempt}.",
            run,
        )
        if run.status is DagsterRunStatus.CANCELING:
            self._stop(task_arn, f"Run {run_id} was canceled in Dagster.")
            instance.report_run_canceled(run, message="Canceled before its task started.")

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
        self._deployment.ecs.stop_task(
            cluster=self._deployment.manifest.cluster, task=task_arn, reason=reason
        )


def task_definition(run: DagsterRun) -> str:
    """ARN with revision of the task definition that the run's code server advertised.

    Raises:
        RunNotLaunchableError: It advertised none.
    """
    origin = run.job_code_origin
    context = (origin.repository_origin.container_context if origin else None) or {}
    advertised = context.get(CONTEXT_KEY, {}).get(TASK_DEFINITION_KEY)
    if not advertised:
        name = run.remote_job_origin.location_name if run.remote_job_origin else "unknown"
        raise RunNotLaunchableError(
            f"Run {run.run_id} can't get a task of its own: the code server of location {name} "
            f"advertised no task definition when the run was created. Serve the location by "
            "`run-isolation code-server` with the --container-context that `pulumi up` gives it, "
            "reload it in Dagster and launch the run again."
        )
    return str(advertised)


def _number(run_tags: Mapping[str, str], name: str) -> int | None:
    value = run_tags.get(name)
    if value is None:
        return None
    if not value.isdecimal():
        raise RunNotLaunchableError(
            f"Tag {name} is {value!r}; allowed is a whole number, such as 4096. "
            "Mend the tag and launch the run again."
        )
    return int(value)


def _started_seconds_ago(instance: DagsterInstance, run: DagsterRun) -> float:
    record = instance.get_run_record_by_id(run.run_id)
    if record is None or record.start_time is None:
        return 0.0
    return get_current_timestamp() - record.start_time
