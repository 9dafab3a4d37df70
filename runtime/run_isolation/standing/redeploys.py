"""Whether a standing task is out of date: another task of its service serves in its place.

A newer deployment alone is no reason to step aside: its image may not start, and then nobody would
serve. So it counts from its first healthy task on, and no longer when that is gone. Nor does a
healthy task serve before the code location's name leads to it: Cloud Map learns of its health some
30 seconds after ECS, and answers with healthy tasks alone while there is one
(https://docs.aws.amazon.com/cloud-map/latest/api/API_HealthCheckCustomConfig.html).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from types_boto3_ecs import ECSClient
    from types_boto3_ecs.type_defs import ServiceTypeDef
    from types_boto3_servicediscovery import ServiceDiscoveryClient

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
        client: Gives the client of ECS; called when it is first needed.
        cloud_map: Gives that of Cloud Map; the same.
        cluster: Gives the cluster's ARN.
        task_arn: The standing task.
    """

    client: Callable[[], ECSClient]
    cloud_map: Callable[[], ServiceDiscoveryClient]
    cluster: Callable[[], str]
    task_arn: str

    def successor(self) -> str | None:
        """ARN of the task of the service's newest deployment that serves, where that is not ours.

        Raises:
            botocore.exceptions.BotoCoreError: ECS could not be asked.
            botocore.exceptions.ClientError: ECS refused.
        """
        if self._membership is None:
            return None
        service = self._service(self._membership.service)
        primary = _primary(service) if service else None
        if service is None or primary in (None, self._membership.deployment):
            return None
        task = self._healthy_task(self._membership.service, primary)
        return task if task is not None and self._is_named(service, task) else None

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

    def _service(self, name: str) -> ServiceTypeDef | None:
        found = self.client().describe_services(cluster=self.cluster(), services=[name])
        return next(iter(found["services"]), None)

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

    def _is_named(self, service: ServiceTypeDef, task_arn: str) -> bool:
        """Whether Cloud Map answers with this task; its instance's id is the task's.

        Where Cloud Map does not say (a role from before this was asked, a network without a way to
        it), what ECS says is all that there is.
        """
        task = task_arn.rpartition("/")[2]
        for registry in service.get("serviceRegistries", []):
            name = registry["registryArn"].rpartition("/")[2]
            client = self.cloud_map()
            try:
                found = client.get_instances_health_status(ServiceId=name, Instances=[task])
            except client.exceptions.InstanceNotFound:
                return False
            except (BotoCoreError, ClientError):
                continue
            if found["Status"].get(task) == "UNHEALTHY":
                return False
        return True


def _primary(service: ServiceTypeDef) -> str | None:
    for deployment in service["deployments"]:
        if deployment["status"] == "PRIMARY":
            return deployment["id"]
    return None
