"""The states and the health of tasks."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum


class Status(StrEnum):
    """A task's states, in their order.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-lifecycle-explanation.html
    """

    PROVISIONING = "PROVISIONING"
    PENDING = "PENDING"
    ACTIVATING = "ACTIVATING"
    RUNNING = "RUNNING"
    DEACTIVATING = "DEACTIVATING"
    STOPPING = "STOPPING"
    DEPROVISIONING = "DEPROVISIONING"
    STOPPED = "STOPPED"

    @property
    def order(self) -> int:
        """The state's place on a task's way."""
        return list(Status).index(self)


class Health(StrEnum):
    """A container's or task's health; UNKNOWN without a check, or before its first verdict."""

    UNKNOWN = "UNKNOWN"
    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"


#: The moment that each state leaves on the task.
MOMENTS = {
    Status.PROVISIONING: "createdAt",
    Status.PENDING: "pullStartedAt",
    Status.ACTIVATING: "pullStoppedAt",
    Status.RUNNING: "startedAt",
    Status.DEACTIVATING: "stoppingAt",
    Status.DEPROVISIONING: "executionStoppedAt",
    Status.STOPPED: "stoppedAt",
}


def utcnow() -> datetime:
    """Return the present moment, with its time zone."""
    return datetime.now(UTC)
