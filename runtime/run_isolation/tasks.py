"""What ECS says about tasks, many at a time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from run_isolation.isolated import CONTAINER

if TYPE_CHECKING:
    from types_boto3_ecs import ECSClient
    from types_boto3_ecs.type_defs import TaskTypeDef

_MOST_PER_CALL: Final = 100
"""https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTasks.html"""


@dataclass(frozen=True)
class TaskState:
    """One task at one moment."""

    task_arn: str
    status: str
    """ECS's ``lastStatus``, or ``MISSING`` where ECS does not know the task: not yet, just after
    RunTask, or no longer, about an hour after it has stopped."""
    reason: str = ""
    """Why it stopped, as one sentence of ECS's own words."""

    @property
    def stopped(self) -> bool:
        """Whether ECS says that nothing of the task is left."""
        return self.status == "STOPPED"

    @property
    def missing(self) -> bool:
        """Whether ECS does not know the task."""
        return self.status == "MISSING"


def describe(client: ECSClient, cluster: str, task_arns: Iterable[str]) -> dict[str, TaskState]:
    """The state of each of the tasks, in one call per hundred.

    Raises:
        botocore.exceptions.BotoCoreError: ECS could not be asked.
        botocore.exceptions.ClientError: ECS refused.
    """
    wanted = sorted(set(task_arns))
    states = {arn: TaskState(arn, "MISSING") for arn in wanted}
    for start in range(0, len(wanted), _MOST_PER_CALL):
        batch = wanted[start : start + _MOST_PER_CALL]
        for task in client.describe_tasks(cluster=cluster, tasks=batch)["tasks"]:
            arn = task["taskArn"]
            states[arn] = TaskState(arn, task["lastStatus"], _reason(task))
    return states


def task_id(task_arn: str) -> str:
    """The last part of a task's ARN."""
    return task_arn.rsplit("/", 1)[-1]


def _reason(task: TaskTypeDef) -> str:
    """Stop code, ECS's reason, and the exit code and reason of the container that matters."""
    parts = [task.get("stopCode", ""), task.get("stoppedReason", "")]
    for container in task.get("containers", []):
        if container.get("name") == CONTAINER:
            if "exitCode" in container:
                parts.append(f"exit code {container['exitCode']}")
            parts.append(container.get("reason", ""))
    return ", ".join(part for part in parts if part)
