"""What ECS says about tasks, many at a time, and stopping one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types_boto3_ecs import ECSClient
    from types_boto3_ecs.type_defs import TaskTypeDef

CONTAINER: Final = "dagster"
"""Name of the container in every task definition."""

MISSING: Final = "MISSING"
"""Our status of a task that ECS does not know: not yet, just after RunTask, or no longer, about an
hour after it has stopped."""

_MOST_PER_CALL: Final = 100
"""https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTasks.html"""


@dataclass(frozen=True)
class TaskState:
    """One task at one moment."""

    task_arn: str
    status: str
    """ECS's ``lastStatus``, or ``MISSING``."""
    stop_code: str = ""
    """ECS's class of its end, such as ``TaskFailedToStart``."""
    stopped_reason: str = ""
    """ECS's words about its end."""
    exit_code: int | None = None
    """Of the container ``dagster``, the one whose end is the run's. None: it never ran."""
    container_reason: str = ""
    """ECS's words about that container's end, such as ``OutOfMemoryError: ...``."""
    stopping: bool = False
    """Whether somebody has asked for its end (``desiredStatus``)."""
    tags: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Where they were asked for. ECS removes those of stopped tasks."""

    @property
    def stopped(self) -> bool:
        """Whether ECS says that nothing of the task is left."""
        return self.status == "STOPPED"

    @property
    def missing(self) -> bool:
        """Whether ECS does not know the task."""
        return self.status == MISSING

    @property
    def reason(self) -> str:
        """Why it stopped, as one sentence of ECS's own words, without a full stop."""
        code = "" if self.exit_code is None else f"exit code {self.exit_code}"
        parts = [self.stop_code, self.stopped_reason, code]
        if self.container_reason not in self.stopped_reason:
            parts.append(self.container_reason)
        return ", ".join(part.strip().rstrip(".") for part in parts if part)


def describe(
    client: ECSClient, cluster: str, task_arns: Iterable[str], *, tags: bool = False
) -> dict[str, TaskState]:
    """The state of each of the tasks, in one call per hundred.

    Args:
        client: ECS.
        cluster: The cluster's ARN.
        task_arns: The tasks.
        tags: Whether to ask for their tags, too.

    Raises:
        botocore.exceptions.BotoCoreError: ECS could not be asked.
        botocore.exceptions.ClientError: ECS refused.
    """
    wanted = sorted(set(task_arns))
    states = {arn: TaskState(arn, MISSING) for arn in wanted}
    for start in range(0, len(wanted), _MOST_PER_CALL):
        batch = wanted[start : start + _MOST_PER_CALL]
        found = client.describe_tasks(
            cluster=cluster, tasks=batch, include=["TAGS"] if tags else []
        )
        states |= {task["taskArn"]: _state(task) for task in found["tasks"]}
    return states


def live_tasks(client: ECSClient, cluster: str, *, started_by: str | None = None) -> list[str]:
    """ARNs of the cluster's tasks that are to run, starting ones included; a call per hundred.

    Args:
        client: ECS.
        cluster: The cluster's ARN.
        started_by: Only those with this ``startedBy``.

    Raises:
        botocore.exceptions.BotoCoreError: ECS could not be asked.
        botocore.exceptions.ClientError: ECS refused.
    """
    # The default of desiredStatus is RUNNING. Beside startedBy there must be no other filter:
    # https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ListTasks.html
    only = {"startedBy": started_by} if started_by else {}
    pages = client.get_paginator("list_tasks").paginate(cluster=cluster, **only)  # type: ignore[arg-type]
    return [arn for page in pages for arn in page["taskArns"]]


def stop(client: ECSClient, cluster: str, task_arn: str, reason: str) -> TaskState:
    """Stops a task: SIGTERM, and SIGKILL after its stop timeout. Stopping it again does no harm.

    Returns:
        The task as it is now; MISSING where ECS does not know it.

    Raises:
        botocore.exceptions.BotoCoreError: ECS could not be asked.
        botocore.exceptions.ClientError: ECS refused.
    """
    try:
        answer = client.stop_task(cluster=cluster, task=task_arn, reason=reason)
    except client.exceptions.InvalidParameterException as error:
        # "The referenced task was not found."
        if "not found" not in str(error):
            raise
        return TaskState(task_arn, MISSING)
    return _state(answer["task"])


def task_id(task_arn: str) -> str:
    """The last part of a task's ARN."""
    return task_arn.rsplit("/", 1)[-1]


def _state(task: TaskTypeDef) -> TaskState:
    # Only the container that executes the run: a side-car's end says nothing about it.
    named = {one.get("name"): one for one in task.get("containers", [])}
    container = named.get(CONTAINER, {})
    return TaskState(
        task_arn=task["taskArn"],
        status=task["lastStatus"],
        stop_code=task.get("stopCode", ""),
        stopped_reason=task.get("stoppedReason", ""),
        exit_code=container.get("exitCode"),
        container_reason=container.get("reason", ""),
        stopping=task.get("desiredStatus") == "STOPPED",
        tags={tag["key"]: tag["value"] for tag in task.get("tags", []) if "key" in tag},
    )
