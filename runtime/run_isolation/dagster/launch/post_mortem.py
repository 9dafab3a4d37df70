"""What a person needs to know about a run's task: ECS's words, what to do, and its last output."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError
from dagster import DagsterRun

from run_isolation.dagster.deployment import Deployment
from run_isolation.errors import ManifestError
from run_isolation.isolated.stop_reasons import advice
from run_isolation.task_logs import LogStream
from run_isolation.tasks import TaskState

_log: Final = logging.getLogger(__name__)


def verdict(deployment: Deployment, run: DagsterRun, task: TaskState) -> str:
    """What became of the task, and what to do, in one line."""
    if task.missing:
        return f"ECS no longer knows task {task.task_arn}."
    if not task.stopped:
        return f"ECS task {task.task_arn} is {task.status}."
    said = f"ECS task {task.task_arn} has stopped: {task.reason}."
    location = location_name(run)
    with suppress(ManifestError):
        location = deployment.manifest.key(location)
    return " ".join(part for part in (said, advice(task, location)) if part)


def output(
    deployment: Deployment, run: DagsterRun, kind: str, task_arn: str, *, lines: bool = True
) -> str:
    """The last lines of the task's output, and where all of it is.

    Trouble with the logs is said and nothing else: they are not what matters here.

    Args:
        deployment: The deployment.
        run: The run.
        kind: ``isolated`` or ``standing``.
        task_arn: The run's task.
        lines: Whether to ask for its last lines.
    """
    try:
        group = deployment.location(location_name(run)).log_group
        stream = LogStream.of(deployment.manifest.region, group, kind, task_arn)
    except ManifestError as error:
        return f"Where its output is can't be told. {error}"
    said = _last_lines(deployment, stream) if lines else ""
    return f"{said}Output: log group {stream.group}, stream {stream.name}\n{stream.url}"


def location_name(run: DagsterRun) -> str:
    """The run's code location."""
    return run.remote_job_origin.location_name if run.remote_job_origin else ""


def _last_lines(deployment: Deployment, stream: LogStream) -> str:
    try:
        lines = stream.tail(deployment.logs)
    except (BotoCoreError, ClientError) as error:
        _log.warning("%s of %s could not be read: %s", stream.name, stream.group, error)
        return f"Its last lines could not be read: {error}\n"
    if not lines:
        return "It has written nothing.\n"
    return "\n".join(["Its last lines:", *(f"  {line}" for line in lines), ""])
