"""A container of a task, as the API shows it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from localaws.ecs.definition import ContainerSpec
from localaws.ecs.states import Health


@dataclass
class Container:
    """One container of a task."""

    spec: ContainerSpec
    arn: str
    runtime_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    last_status: str = "PENDING"
    exit_code: int | None = None
    reason: str | None = None
    health: Health = Health.UNKNOWN
    created_at: datetime | None = None
    started_at: datetime | None = None

    def describe(self, task_arn: str, address: str) -> dict[str, Any]:
        """Return the container as DescribeTasks shows it."""
        shown: dict[str, Any] = {
            "containerArn": self.arn,
            "taskArn": task_arn,
            "name": self.spec.name,
            "image": self.spec.image,
            "runtimeId": f"{task_arn.rsplit('/', 1)[-1]}-{self.runtime_id[:10]}",
            "lastStatus": self.last_status,
            "networkBindings": [],
            "networkInterfaces": [
                {"attachmentId": str(uuid.UUID(self.runtime_id)), "privateIpv4Address": address}
            ],
            "healthStatus": self.health.value,
            "cpu": str(self.spec.cpu),
        }
        if self.spec.memory is not None:
            shown["memory"] = str(self.spec.memory)
        # A container that never started has no exit code.
        if self.exit_code is not None:
            shown["exitCode"] = self.exit_code
        if self.reason is not None:
            shown["reason"] = self.reason
        return shown
