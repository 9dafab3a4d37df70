"""What tasks need of the machine and the account that they run on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from localaws.conditions import Conditions
from localaws.ecs.addresses import Addresses
from localaws.ecs.cgroups import Cgroups
from localaws.ecs.images import Images
from localaws.ecs.metadata import Metadata
from localaws.ecs.sandbox import ContainerFiles, Sandbox
from localaws.faults import Faults
from localaws.iam.guard import Guard


@dataclass(frozen=True)
class Host:
    """The machine, as tasks see it.

    Attributes:
        environment: What every container gets to reach the account; no credentials.
        guard: Who may do what.
        cgroups: None where the machine allows no limits.
        sandbox: Makes where a container's commands run.
        mounts: Directories that all containers share, by where they find them.
        scratch: Holds one directory per task, its containers' files, while the task runs.
        start_delay_seconds: How long each task stays in PROVISIONING.
        first_check_seconds: See `localaws.ecs.health`.
    """

    account_id: str
    endpoint_url: str
    environment: Mapping[str, str]
    guard: Guard
    images: Images
    addresses: Addresses
    cgroups: Cgroups | None
    faults: Faults
    metadata: Metadata
    sandbox: Callable[[ContainerFiles], Sandbox]
    mounts: Mapping[str, Path]
    scratch: Path
    start_delay_seconds: float
    first_check_seconds: float | None
    conditions: Conditions = field(default_factory=Conditions)

    def container_environment(self, runtime_id: str) -> dict[str, str]:
        """Return what ECS adds to a container's environment, before its definition's own."""
        return {
            "LANG": "C.UTF-8",
            **self.environment,
            "ECS_CONTAINER_METADATA_URI_V4": f"{self.endpoint_url}/v4/{runtime_id}",
            "ECS_AGENT_URI": f"{self.endpoint_url}/api/{runtime_id}",
        }
