"""A service that exists in ECS and not in Pulumi's state, where Pulumi is about to create it.

An `up` that is killed while it creates a service leaves one: ECS has made it, nobody has noted it.
ECS then refuses each further creation ("Creation of service was not idempotent"), and the provider
can take nothing over. So it is removed, as carefully as a redeploy replaces a container: one that
hosts runs protects its task, and is left as it is
(docs/decisions/27-services-that-a-killed-up-left-behind.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pulumi
from tenacity import AsyncRetrying, retry_if_result, stop_after_delay, wait_fixed

from infra.containers import STOP_TIMEOUT
from infra.hooks.own_thread import in_own_thread

if TYPE_CHECKING:
    from types_boto3_ecs import ECSClient
    from types_boto3_ecs.type_defs import ServiceTypeDef

PATIENCE: Final = STOP_TIMEOUT + 180.0
"""Seconds for a container to end, and the network interface of its task with it."""
POLL_INTERVAL: Final = 2.0
"""Seconds."""


class LeftoverServiceError(Exception):
    """A service is in the way and can't be removed now."""


@dataclass(frozen=True)
class Leftover:
    """The service that may be in the way. Its calls block."""

    ecs: ECSClient
    cluster: str
    """ARN."""
    service: str
    urn: str
    """Of the resource that Pulumi is about to create."""

    def found(self) -> ServiceTypeDef | None:
        """The service, unless it is gone."""
        answer = self.ecs.describe_services(
            cluster=self.cluster, services=[self.service], include=["TAGS"]
        )
        return next((one for one in answer["services"] if one["status"] != "INACTIVE"), None)

    def tasks(self) -> list[str]:
        """ARNs of its tasks that are not to stop."""
        return self.ecs.list_tasks(cluster=self.cluster, serviceName=self.service)["taskArns"]

    def hosts(self) -> list[str]:
        """ARNs of its tasks that protect runs."""
        # 10: as many as one call describes. We ask for one container, or two in a redeploy.
        tasks = self.tasks()[:10]
        if not tasks:
            return []
        answer = self.ecs.get_task_protection(cluster=self.cluster, tasks=tasks)
        return [one["taskArn"] for one in answer["protectedTasks"] if one["protectionEnabled"]]

    def is_empty(self) -> bool:
        """Whether no task of it is left."""
        found = self.found()
        return found is None or not found["runningCount"] + found["pendingCount"]

    def is_gone(self) -> bool:
        """Whether its name is free."""
        return self.found() is None

    def scale(self, count: int) -> None:
        """Asks for this many containers. ECS stops none that is protected."""
        self.ecs.update_service(cluster=self.cluster, service=self.service, desiredCount=count)

    def delete(self) -> None:
        """Deletes it, once it is empty."""
        self.ecs.delete_service(cluster=self.cluster, service=self.service)

    def busy(self, tasks: list[str]) -> LeftoverServiceError:
        """It hosts runs."""
        cluster = self.cluster.rpartition("/")[2]
        parent = self.urn.replace("$aws:ecs/service:Service", "")
        return LeftoverServiceError(
            f"code location {self.service}: ECS has its service already, and Pulumi does not know "
            "it, as after an `up` that was killed while it created the service. It is left alone, "
            f"because its container hosts runs: {', '.join(tasks)}. "
            "`pulumi up` again when they are over replaces it. To go on at once, take it into the "
            f"stack: `pulumi import aws:ecs/service:Service {self.service} "
            f"{cluster}/{self.service} --parent 'location={parent}' --protect=false "
            "--generate-code=false`, then `pulumi up`."
        )

    def slow(self, patience: float) -> LeftoverServiceError:
        """Its containers do not end."""
        return LeftoverServiceError(
            f"code location {self.service}: ECS has a service that an interrupted `up` left, and "
            f"its containers had not ended {patience:.0f} s after it was scaled to none. It has "
            "its container back. `pulumi up` again tries once more."
        )

    def foreign(self) -> LeftoverServiceError:
        """Somebody else made it."""
        return LeftoverServiceError(
            f"code location {self.service}: cluster {self.cluster} has a service of that name that "
            "does not have this stack's tag run-isolation:deployment, so this stack did not make "
            "it. Delete that service, or give the code location another name."
        )


async def remove_leftover(leftover: Leftover, deployment: str, patience: float = PATIENCE) -> None:
    """Makes room for a service that is to be created. Nothing is done where there is none.

    Args:
        leftover: The service that may be in the way.
        deployment: The deployment's name, which its tag must have.
        patience: Seconds for its containers to end.

    Raises:
        LeftoverServiceError: It hosts runs, is somebody else's, or does not end.
    """
    found = await in_own_thread(leftover.found)
    if found is None:
        return
    if found["status"] == "ACTIVE":
        tags = {tag["key"]: tag["value"] for tag in found.get("tags", [])}
        if tags.get("run-isolation:deployment") != deployment:
            raise leftover.foreign()
        if hosts := await in_own_thread(leftover.hosts):
            raise leftover.busy(hosts)
        pulumi.log.info(
            f"code location {leftover.service}: ECS has a service that an interrupted `up` left. "
            "It is removed and created again."
        )
        await in_own_thread(leftover.scale, 0)
        if not await _comes_true(leftover.is_empty, patience):
            await in_own_thread(leftover.scale, 1)
            hosts = await in_own_thread(leftover.hosts)
            raise leftover.busy(hosts) if hosts else leftover.slow(patience)
        await in_own_thread(leftover.delete)
    if not await _comes_true(leftover.is_gone, patience):
        raise LeftoverServiceError(
            f"code location {leftover.service}: its former service is still DRAINING after "
            f"{patience:.0f} s. `pulumi up` again when `aws ecs describe-services` says INACTIVE."
        )


async def _comes_true(holds: Callable[[], bool], patience: float) -> bool:
    async def look() -> bool:
        return await in_own_thread(holds)

    looks = AsyncRetrying(
        retry=retry_if_result(lambda held: not held),
        stop=stop_after_delay(patience),
        wait=wait_fixed(POLL_INTERVAL),
        retry_error_callback=lambda state: False,
    )
    held: bool = await looks(look)
    return held
