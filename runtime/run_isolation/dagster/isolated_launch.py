"""Launching an isolated run: its next attempt is stored, then one RunTask is made for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus

from run_isolation import tags
from run_isolation.dagster import run_tags
from run_isolation.dagster.deployment import Deployment
from run_isolation.errors import RunIsolationError
from run_isolation.isolated import IsolatedLaunch, launch_isolated, stop
from run_isolation.policy import Kind

CONTEXT_KEY: Final = "run_isolation"
TASK_DEFINITION_KEY: Final = "task_definition"
"""A code server advertises the exact revision of its own isolated task definition as
``container_context["run_isolation"]["task_definition"]``. Dagster stores it with each run."""


class RunNotLaunchableError(RunIsolationError):
    """The run itself lacks or misstates what a launch needs."""


class IsolatedLauncher:
    """Launches isolated runs."""

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

    def _stop(self, task_arn: str, reason: str) -> None:
        stop(self._deployment.ecs, self._deployment.manifest, task_arn, reason)


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
