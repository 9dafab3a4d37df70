"""What a code server tells Dagster about itself, as Dagster stores it with each run."""

from __future__ import annotations

from typing import Any, Final

from dagster import DagsterRun

from run_isolation.errors import RunIsolationError

CONTEXT_KEY: Final = "run_isolation"
TASK_DEFINITION_KEY: Final = "task_definition"
"""A code server advertises the exact revision of its own isolated task definition as
``container_context["run_isolation"]["task_definition"]``. Dagster stores it with each run."""
INSTANCE_KEY: Final = "instance"
"""Beside it: the version of the deployment's Dagster instance that the server uses."""


class RunNotLaunchableError(RunIsolationError):
    """The run itself lacks or misstates what a launch needs."""


def task_definition(run: DagsterRun) -> str:
    """ARN with revision of the task definition that the run's code server advertised.

    Raises:
        RunNotLaunchableError: It advertised none.
    """
    advertised = _context(run).get(TASK_DEFINITION_KEY)
    if not advertised:
        name = run.remote_job_origin.location_name if run.remote_job_origin else "unknown"
        raise RunNotLaunchableError(
            f"Run {run.run_id} can't get a task of its own: the code server of location {name} "
            f"advertised no task definition when the run was created. Serve the location by "
            "`run-isolation code-server` with the --container-context that `pulumi up` gives it, "
            "reload it in Dagster and launch the run again."
        )
    return str(advertised)


def instance_version(run: DagsterRun) -> str:
    """Version of the instance that the run's code server advertised; empty for earlier releases."""
    return str(_context(run).get(INSTANCE_KEY) or "")


def _context(run: DagsterRun) -> Any:
    origin = run.job_code_origin
    return ((origin.repository_origin.container_context if origin else None) or {}).get(
        CONTEXT_KEY, {}
    )
