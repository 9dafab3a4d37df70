"""Waiting for a standing container to come up.

The provider's ``waitForSteadyState`` waits until old containers are gone, too. One that protects
the runs it hosts may stay for hours, so we wait only for a new one that is healthy. And the
provider reports success after ECS has rolled a deployment back
(https://github.com/pulumi/pulumi-aws/issues/4487); we report why it did.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from botocore.exceptions import BotoCoreError, ClientError

from infra.deployment import Kind
from run_isolation.task_logs import LogStream

if TYPE_CHECKING:
    from types_boto3_ecs import ECSClient
    from types_boto3_ecs.type_defs import DeploymentTypeDef, TaskTypeDef
    from types_boto3_logs import CloudWatchLogsClient

LAG: Final = 5
"""Looks without our deployment before it counts as rolled back: DescribeServices may lag behind
UpdateService, and ECS drops a failed deployment from its answer when it has rolled back."""


class RolloutError(Exception):
    """No container of the new revision became healthy."""


@dataclass(frozen=True)
class Rollout:
    """One service on its way to one revision. Its calls block."""

    ecs: ECSClient
    logs: CloudWatchLogsClient
    log_group: str
    """Name of the code location's log group."""
    cluster: str
    """ARN."""
    service: str
    task_definition: str
    """ARN with the revision."""
    misses: list[str] = field(default_factory=list)
    """Revisions that were in charge, look by look, since a look last saw the one we wait for."""

    def healthy(self) -> bool:
        """Whether a container of the service's current deployment is healthy: one look.

        Raises:
            RolloutError: ECS gave the deployment up.
        """
        deployments = self._deployments()
        ours = max(
            (one for one in deployments if one["taskDefinition"] == self.task_definition),
            key=lambda one: (one["status"] == "PRIMARY", one["createdAt"]),
            default=None,
        )
        if ours is None:
            self._missed(deployments)
            return False
        self.misses.clear()
        if ours.get("rolloutState") == "FAILED":
            raise self.error(ours.get("rolloutStateReason", "ECS gave it up"))
        return any(
            task.get("healthStatus") == "HEALTHY" and task["lastStatus"] == "RUNNING"
            for task in self._tasks("RUNNING", ours["id"])
        )

    def error(self, reason: str) -> RolloutError:
        """What is wrong: the reason, ECS's words on the tasks, and the end of the newest's log."""
        stopped = self._newest("STOPPED")
        lines = [f"code location {self.service}: {reason}", *map(_end, stopped[:3])]
        lines += self._log_of([*self._newest("RUNNING"), *stopped])
        return RolloutError("\n".join(lines))

    def _missed(self, deployments: list[DeploymentTypeDef]) -> None:
        """Tells a service that has not noticed the update yet from one that has gone back."""
        self.misses.extend(
            one["taskDefinition"] for one in deployments if one["status"] == "PRIMARY"
        )
        if len(self.misses) > LAG:
            raise self.error(f"ECS went back to {self.misses[-1]}")

    def _deployments(self) -> list[DeploymentTypeDef]:
        response = self.ecs.describe_services(cluster=self.cluster, services=[self.service])
        found = [one for one in response["services"] if one.get("status", "ACTIVE") == "ACTIVE"]
        if not found:
            raise RolloutError(
                f"code location {self.service}: it has no ECS service any more. "
                "`pulumi up --refresh` makes it again."
            )
        return found[0]["deployments"]

    def _newest(self, status: Literal["RUNNING", "STOPPED"]) -> list[TaskTypeDef]:
        tasks = self._tasks(status)
        return sorted(tasks, key=lambda one: str(one.get("createdAt", "")), reverse=True)

    def _tasks(
        self, status: Literal["RUNNING", "STOPPED"], deployment_id: str | None = None
    ) -> list[TaskTypeDef]:
        """Tasks of the new revision, up to the 100 that one call describes."""
        arns = self.ecs.list_tasks(
            cluster=self.cluster, serviceName=self.service, desiredStatus=status
        )["taskArns"]
        if not arns:
            return []
        return [
            task
            for task in self.ecs.describe_tasks(cluster=self.cluster, tasks=arns)["tasks"]
            if task.get("taskDefinitionArn") == self.task_definition
            and deployment_id in (None, task.get("startedBy"))
        ]

    def _log_of(self, tasks: list[TaskTypeDef]) -> Iterator[str]:
        """The last lines of the first of these tasks that has written any."""
        for task in tasks[:3]:
            stream = LogStream.of(
                self.logs.meta.region_name, self.log_group, Kind.STANDING, task["taskArn"]
            )
            try:
                tail = stream.tail(self.logs)
            except (BotoCoreError, ClientError) as error:
                yield f"  Log group {self.log_group} can't be read: {error}"
                return
            if tail:
                yield f"  Last lines of {stream.name} in log group {self.log_group}:"
                yield from (f"    {line.rstrip()}" for line in tail)
                return
        yield f"  Log group {self.log_group} has nothing of these containers."


def _end(task: TaskTypeDef) -> str:
    details = [task.get("stoppedReason")]
    for container in task.get("containers", []):
        code = container.get("exitCode")
        details += [container.get("reason"), None if code is None else f"exit code {code}"]
    return f"  {task['taskArn']}: {'; '.join(filter(None, details))}"
