"""A task: what the API shows of it, and its way from PROVISIONING to STOPPED."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from localaws.ecs.container import Container
from localaws.ecs.definition import TaskSpec
from localaws.ecs.states import MOMENTS, Health, Status, utcnow


@dataclass(frozen=True)
class Placement:
    """Where and for whom a task runs.

    Attributes:
        address: The task's own loopback address.
        started_by: `startedBy` of RunTask, or a service's deployment id.
        group: `family:NAME` or `service:NAME`.
        network: Its awsvpc configuration; the first subnet is the one.
        interface: Id of its network interface.
        shown: What RunTask was given and DescribeTasks repeats (launch type, platform ...).
    """

    cluster_arn: str
    region: str
    address: str
    group: str
    started_by: str = ""
    network: Mapping[str, Any] = field(default_factory=dict)
    interface: str = ""
    tags: Sequence[Mapping[str, str]] = ()
    shown: Mapping[str, Any] = field(default_factory=dict)


class Task:
    """A task of this account. Thread-safe.

    Args:
        definition: moto's task definition.
        spec: What to run.
        placement: Where and for whom.
        on_change: Called after each change of state, health or wish, outside the task's lock.
    """

    def __init__(
        self,
        definition: Any,
        spec: TaskSpec,
        placement: Placement,
        on_change: Callable[[Task], None] = lambda task: None,
    ) -> None:
        self.id = uuid.uuid4().hex
        self.definition = definition
        self.spec = spec
        self.placement = placement
        self.cluster_name = placement.cluster_arn.rsplit("/", 1)[-1]
        prefix, _, _ = placement.cluster_arn.rpartition(":cluster/")
        self.task_arn = f"{prefix}:task/{self.cluster_name}/{self.id}"
        self.containers = [
            Container(one, f"{prefix}:container/{self.cluster_name}/{self.id}/{uuid.uuid4()}")
            for one in spec.containers
        ]
        self.tags = [dict(tag) for tag in placement.tags]
        self.status = Status.PROVISIONING
        self.desired_status = "RUNNING"
        self.stop_code: str | None = None
        self.stopped_reason: str | None = None
        self.moments: dict[str, datetime] = {"createdAt": utcnow()}
        self.version = 1
        #: Hides the containers from the API, as ECS does for some tasks that never started.
        self.hide_containers = False
        self.protected_until: datetime | None = None
        #: Whether its service has room for one more protected task.
        self.may_be_protected: Callable[[], bool] = lambda: True
        self._attachment = str(uuid.uuid4())
        self._on_change = on_change
        self._changed = threading.Condition()

    def __repr__(self) -> str:
        reason = f", {self.stop_code}: {self.stopped_reason}" if self.stop_code else ""
        return f"<Task {self.id} of {self.definition.family} {self.status}{reason}>"

    @property
    def stopping(self) -> bool:
        """Whether somebody wants this task stopped."""
        return self.desired_status == "STOPPED"

    @property
    def protected(self) -> bool:
        """Whether the service scheduler must let this task run."""
        return self.protected_until is not None and utcnow() < self.protected_until

    @property
    def health(self) -> Health:
        """The health of the essential containers that have a check."""
        checked = [c.health for c in self.containers if c.spec.health_check and c.spec.essential]
        if Health.UNHEALTHY in checked:
            return Health.UNHEALTHY
        if not checked or Health.UNKNOWN in checked:
            return Health.UNKNOWN
        return Health.HEALTHY

    @property
    def ready(self) -> bool:
        """Whether the task is RUNNING, wanted, and healthy where it has a health check."""
        has_check = any(c.spec.health_check and c.spec.essential for c in self.containers)
        return (
            self.status is Status.RUNNING
            and not self.stopping
            and (self.health is Health.HEALTHY or not has_check)
        )

    def advance(self, status: Status) -> None:
        """Go on to a later state."""
        with self._changed:
            if status.order < self.status.order:
                raise ValueError(f"a task cannot go back from {self.status} to {status}")
            self.status = status
            if moment := MOMENTS.get(status):
                self.moments.setdefault(moment, utcnow())
            self.version += 1
            self._changed.notify_all()
        self._on_change(self)

    def request_stop(self, code: str, reason: str | None) -> bool:
        """Ask for the task's end; only the first request's code and reason are kept."""
        with self._changed:
            if self.stopping:
                return False
            self.desired_status = "STOPPED"
            self.stop_code = code
            self.stopped_reason = reason
            self.version += 1
            self._changed.notify_all()
        self._on_change(self)
        return True

    def protect(self, until: datetime | None) -> None:
        """Protect the task from the service scheduler until then; None ends the protection."""
        with self._changed:
            self.protected_until = until
            self.version += 1
            self._changed.notify_all()
        self._on_change(self)

    def set_health(self, container: Container, health: Health) -> None:
        """Record a container's health."""
        with self._changed:
            if container.health is health:
                return
            container.health = health
            self.version += 1
            self._changed.notify_all()
        self._on_change(self)

    def wait_for(self, status: Status | str, timeout: float = 10.0) -> Task:
        """Wait until the task has reached `status` or a later state.

        Raises:
            TimeoutError: It has not within `timeout` seconds.
        """
        wanted = Status(status)
        self.wait_until(lambda task: task.status.order >= wanted.order, timeout, f"be {wanted}")
        return self

    def wait_until(
        self, condition: Callable[[Task], bool], timeout: float | None, what: str = "change"
    ) -> None:
        """Wait until `condition` holds.

        Raises:
            TimeoutError: It does not within `timeout` seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: condition(self), timeout):
                raise TimeoutError(f"{self!r} did not {what} within {timeout} s")

    def describe(self, *, tags: bool = False) -> dict[str, Any]:
        """Return the task as DescribeTasks shows it."""
        with self._changed:
            shown = dict(self.placement.shown) | dict(self.moments)
            containers = [] if self.hide_containers else self.containers
            shown |= {
                "attachments": [self._describe_interface()],
                "availabilityZone": f"{self.placement.region}a",
                "clusterArn": self.placement.cluster_arn,
                "connectivity": "CONNECTED",
                "containers": [
                    c.describe(self.task_arn, self.placement.address) for c in containers
                ],
                "cpu": str(self.spec.cpu),
                "memory": str(self.spec.memory),
                "desiredStatus": self.desired_status,
                "ephemeralStorage": {"sizeInGiB": self.spec.ephemeral_storage},
                "group": self.placement.group,
                "healthStatus": self.health.value,
                "lastStatus": self.status.value,
                "overrides": dict(self.spec.overrides),
                "startedBy": self.placement.started_by or None,
                "stopCode": self.stop_code,
                "stoppedReason": self.stopped_reason,
                "taskArn": self.task_arn,
                "taskDefinitionArn": self.definition.arn,
                "version": self.version,
            }
            if tags:
                shown["tags"] = self.tags
        return {key: value for key, value in shown.items() if value is not None}

    def _describe_interface(self) -> dict[str, Any]:
        details = {
            "subnetId": next(iter(self.placement.network.get("subnets", [])), ""),
            "networkInterfaceId": self.placement.interface,
            "privateIPv4Address": self.placement.address,
        }
        attached = self.status.order < Status.DEPROVISIONING.order
        return {
            "id": self._attachment,
            "type": "ElasticNetworkInterface",
            "status": "ATTACHED" if attached else "DELETED",
            "details": [{"name": name, "value": value} for name, value in details.items()],
        }
