"""Whether a standing task is out of date: another task of its service serves in its place.

A newer deployment alone is no reason to step aside: its image may not start, and then nobody would
serve. So it counts from its first healthy task on, and no longer when that is gone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types_boto3_ecs import ECSClient

_SERVICE: Final = "service:"
"""What the group of a service's task begins with
(https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Task.html)."""


@dataclass(frozen=True)
class _Membership:
    """The deployment that a task belongs to."""

    service: str
    deployment: str


@dataclass
class Redeploys:
    """What ECS says about the service of one standing task.

    Attributes:
        client: Gives the client; called when it is first needed.
        cluster: Gives the cluster's ARN.
        task_arn: The standing task.
    """

    client: Callable[[], ECSClient]
    cluster: Callable[[], str]
    task_arn: str

    def successor(self) -> str | None:
        """ARN of a healthy task of the service's newest deployment, where that is not ours.

        Raises:
            botocore.exceptions.BotoCoreError: ECS could not be asked.
            botocore.exceptions.ClientError: ECS refused.
        """
        if self._membership is None:
            return None
        primary = self._primary(self._membership.service)
        if primary in (None, self._membership.deployment):
            return None
        return self._healthy_task(self._membership.service, primary)

    @cached_property
    def _membership(self) -> _Membership | None:
        """None for a task that no service started: nobody replaces it."""
        [task] = self.client().describe_tasks(cluster=self.cluster(), tasks=[self.task_arn])[
            "tasks"
        ]
        group = task.get("group", "")
        if not group.startswith(_SERVICE):
            return None
        return _Membership(group.removeprefix(_SERVICE), task["startedBy"])

    def _primary(self, service: str) -> str | None:
        found = self.client().describe_services(cluster=self.cluster(), services=[service])
        for deployment in found["services"][0]["deployments"] if found["services"] else []:
            if deployment["status"] == "PRIMARY":
                return deployment["id"]
        return None

    def _healthy_task(self, service: str, deployment: str | None) -> str | None:
        client, cluster = self.client(), self.cluster()
        arns = client.list_tasks(cluster=cluster, serviceName=service, desiredStatus="RUNNING")[
            "taskArns"
        ]
        tasks = client.describe_tasks(cluster=cluster, tasks=arns)["tasks"] if arns else []
        for task in tasks:
            running = task["lastStatus"] == "RUNNING" and task.get("healthStatus") == "HEALTHY"
            if running and task.get("startedBy") == deployment:
                return task["taskArn"]
        return None
