"""What a deployment is called: every name, ARN and tag in one place.

ARNs are computed, not awaited: policies and the manifest are then whole in the preview of a new
stack, and the same text at every ``pulumi up``.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from infra.config import Config, host_label
from run_isolation.default_instance import S3_LOGS

CODE_SERVER_PORT: Final = 4000
"""Where the location's name leads to."""
CONTROL_PORT: Final = 4001
"""Where one standing task answers until its end, also when another serves in its place."""
CONTAINER: Final = "dagster"
COMPUTE_LOGS: Final = "compute-logs"
OUTPUTS: Final = "outputs"
CREATE: Final = "create"
"""In place of a name: one of our own."""
PROJECT: Final = Path(__file__).resolve().parent.parent
"""The checkout: relative paths in the config start here."""


class Kind(StrEnum):
    """The two kinds of tasks of a code location."""

    STANDING = "standing"
    ISOLATED = "isolated"


EXECUTION: Final = "execution"
"""What ECS itself does for a task: pulls the image, writes logs, reads secrets."""


@dataclass(frozen=True)
class Deployment:
    """One stack in one account and region."""

    name: str
    account: str
    region: str
    partition: str
    config: Config

    @property
    def prefix(self) -> str:
        """What the names of all resources start with."""
        return f"run-isolation-{self.name}"

    @property
    def namespace(self) -> str:
        """The private DNS domain of the standing containers."""
        return f"{self.name}.run-isolation.internal"

    @property
    def table(self) -> str:
        """Name of the slot table."""
        return f"{self.prefix}-slots"

    @property
    def manifest_parameter(self) -> str:
        """Name of the SSM parameter that holds the manifest."""
        return f"/run-isolation/{self.name}/manifest"

    @property
    def cluster_arn(self) -> str:
        """ARN of the ECS cluster."""
        return self.arn("ecs", f"cluster/{self.prefix}")

    @property
    def compute_logs_bucket(self) -> str | None:
        """Name of the bucket of compute logs, where there is one and its name is known."""
        instance = self.config.instance
        if instance.compute_logs_bucket is not None:
            return self.bucket(COMPUTE_LOGS, instance.compute_logs_bucket)
        logs = (instance.dagster_yaml or {}).get("compute_logs", {})
        bucket = logs.get("config", {}).get("bucket") if logs.get("class") == S3_LOGS else None
        return instance.env.get(bucket["env"]) if isinstance(bucket, dict) else bucket

    def outputs_bucket(self, location: str) -> str | None:
        """Name of the bucket of a code location's outputs, where there is one."""
        own = self.config.code_locations[location].io
        return own if own is not None else self.bucket(OUTPUTS, self.config.instance.io)

    def bucket(self, purpose: str, said: str | None) -> str | None:
        """Name of a bucket, which is the user's or one of our own for this purpose."""
        return self.own_bucket(purpose) if said == CREATE else said

    def own_bucket(self, purpose: str) -> str:
        """Name of a bucket of our own; no other account has one of that name."""
        return f"{self.prefix}-{purpose}-{self.account}"

    def location_name(self, location: str) -> str:
        """What Dagster calls a code location."""
        return self.config.code_locations[location].location_name or location

    def arn(self, service: str, resource: str) -> str:
        """ARN of a resource in the deployment's own account and region."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"

    def family(self, location: str, kind: Kind) -> str:
        """The task definition family of a code location's tasks."""
        return f"{self.prefix}-{location}-{kind}"

    def role(self, location: str, actor: str) -> str:
        """Name of a role. Actors are the kinds of tasks, and ``execution``."""
        return f"{self.prefix}-{location}-{actor}"

    def role_arn(self, location: str, actor: str) -> str:
        """ARN of a role; roles have no region."""
        return f"arn:{self.partition}:iam::{self.account}:role/{self.role(location, actor)}"

    def policy_arn(self, name: str) -> str:
        """ARN of a managed policy of the deployment; policies have no region."""
        return f"arn:{self.partition}:iam::{self.account}:policy/{self.prefix}-{name}"

    def log_group(self, location: str) -> str:
        """Name of the log group of a code location's tasks."""
        return f"/run-isolation/{self.name}/{location}"

    def host(self, location: str) -> str:
        """DNS name of the standing container."""
        return f"{host_label(location)}.{self.namespace}"

    def tags(self, name: str | None = None, *, location: str | None = None) -> dict[str, str]:
        """The tags of a resource. Every resource that can be tagged gets them from here.

        Args:
            name: A name for the console, for resources that have none of their own.
            location: The code location that the resource is a part of.
        """
        tags = {**self.config.tags, "run-isolation:deployment": self.name}
        if location is not None:
            tags["run-isolation:code-location"] = location
        if name is not None:
            tags["Name"] = f"{self.prefix}-{name}"
        return tags
