"""Waiting for a standing container to come up.

The provider's ``waitForSteadyState`` waits until old containers are gone, too. One that protects
the runs it hosts may stay for hours, so we wait only for a new one that is healthy. And the
provider reports success after ECS has rolled a deployment back
(https://github.com/pulumi/pulumi-aws/issues/4487); we report why it did.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from time import sleep
from typing import TYPE_CHECKING, Final, Literal

from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

if TYPE_CHECKING:
    from types_boto3_ecs import ECSClient
    from types_boto3_ecs.type_defs import DeploymentTypeDef, TaskTypeDef

POLL_INTERVAL: Final = 3.0
"""Seconds. DescribeTasks and ListTasks share 20 calls per second in an account
(https://docs.aws.amazon.com/AmazonECS/latest/APIReference/request-throttling.html)."""

PATIENCE: Final = 900.0
"""Seconds: the health check's start period of 5 minutes, and time for an image of some GB."""


LAG: Final = 5
"""Looks without our deployment before it counts as rolled back: DescribeServices may lag behind
UpdateService, and ECS drops a failed deployment from its answer when it has rolled back."""


class RolloutError(Exception):
    """No container of the new revision became healthy."""


@dataclass(frozen=True)
class Rollout:
    """One service on its way to one revision."""

    ecs: ECSClient
    cluster: str
    """ARN."""
    service: str
    task_definition: str
    """ARN with the revision."""
    misses: list[str] = field(default_factory=list)
    """Revisions that were in charge, look by look, since a look last saw the one we wait for."""

    def wait(
        self,
        patience: float = PATIENCE,
        interval: float = POLL_INTERVAL,
        pause: Callable[[float], None] = sleep,
    ) -> None:
        """Returns when a container of the service's current deployment is healthy.

        Args:
            patience: Seconds before it gives up.
            interval: Seconds between two looks.
            pause: Sleeps.

        Raises:
            RolloutError: ECS gave the deployment up, or patience ran out.
        """
        looks = Retrying(
            retry=retry_if_result(lambda healthy: not healthy),
            stop=stop_after_delay(patience),
            wait=wait_fixed(interval),
            sleep=pause,
        )
        try:
            looks(self._healthy)
        except RetryError:
            raise self._error(f"no healthy container after {patience:.0f} s") from None

    def _healthy(self) -> bool:
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
            raise self._error(ours.get("rolloutStateReason", "ECS gave it up"))
        return any(
            task.get("healthStatus") == "HEALTHY" and task["lastStatus"] == "RUNNING"
            for task in self._tasks("RUNNING", ours["id"])
        )

    def _missed(self, deployments: list[DeploymentTypeDef]) -> None:
        """Tells a service that has not noticed the update yet from one that has gone back."""
        self.misses.extend(
            one["taskDefinition"] for one in deployments if one["status"] == "PRIMARY"
        )
        if len(self.misses) > LAG:
            raise self._error(f"ECS went back to {self.misses[-1]}")

    def _deployments(self) -> list[DeploymentTypeDef]:
        response = self.ecs.describe_services(cluster=self.cluster, services=[self.service])
        return response["services"][0]["deployments"]

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

    def _error(self, reason: str) -> RolloutError:
        lines = [f"code location {self.service}: {reason}"]
        for task in self._tasks("STOPPED")[:3]:
            details = [task.get("stoppedReason")]
            for container in task.get("containers", []):
                code = container.get("exitCode")
                details += [container.get("reason"), None if code is None else f"exit code {code}"]
            lines.append(f"  {task['taskArn']}: {'; '.join(filter(None, details))}")
        lines.append(
            "Its log group says more. ECS keeps the previous container where there is one. "
            "Mend the image or the config, then `pulumi up`; to try the same again, "
            "`pulumi up --refresh`."
        )
        return RolloutError("\n".join(lines))
