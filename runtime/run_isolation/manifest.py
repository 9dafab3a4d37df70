"""The manifest: what a deployment consists of, and where.

Infrastructure and runtime share this one thing. ``infra/`` renders a Manifest into an SSM
parameter; the runtime loads it once, when a process starts. It changes with the deployment's shape,
never with a release of code: images and revisions are not in it (a code server advertises its own
revision).
"""

from __future__ import annotations

import json
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, Literal, Self

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from run_isolation.errors import ManifestError
from run_isolation.fargate import CPUS, MEMORY_BY_CPU

if TYPE_CHECKING:
    from types_boto3_ssm import SSMClient


class _Part(BaseModel):
    """Strict and immutable: a typo in infra/ fails there, not in a task."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Size(_Part):
    """What a task has."""

    cpu: int
    """CPU units; 1024 are one vCPU."""
    memory: int
    """MiB."""


LARGEST: Final = Size(cpu=CPUS[-1], memory=MEMORY_BY_CPU[CPUS[-1]][-1])
"""The largest task that Fargate has."""


class Network(_Part):
    """Where isolated tasks run."""

    subnets: list[str]
    security_groups: list[str]
    assign_public_ip: bool = False


class Location(_Part):
    """One code location."""

    host: str
    """Name of its standing container in the deployment's private DNS."""
    port: int
    standing: Size
    isolated: Size
    """Of a run's own task, unless the run asks for something else."""
    log_group: str
    # Not written where they are the default: an SSM parameter holds 8 KB.
    largest: Size = Field(LARGEST, exclude_if=lambda size: size == LARGEST)
    """The most that a run may ask for."""
    spot: bool = Field(False, exclude_if=lambda spot: not spot)
    """Whether the first attempt at a run is made on Fargate Spot."""
    location_name: str | None = Field(None, exclude_if=lambda name: name is None)
    """What Dagster calls it, where that is not its key in ``locations``."""


class Manifest(_Part):
    """One deployment."""

    version: Literal[1] = 1
    deployment: str
    account: str
    region: str
    cluster: str
    """ARN of the ECS cluster."""
    table: str
    """Name of the slot table."""
    network: Network
    instance_version: str = ""
    """The newest version of the Dagster instance; empty where the ``pulumi up`` of a release
    before 0.1.0 has written the manifest."""
    locations: dict[str, Location]
    """By the names of the infrastructure; ``named`` has them by those that Dagster knows."""
    propagate_tags: list[str] = Field(default_factory=list, exclude_if=lambda keys: not keys)
    """Tags of a run that its task gets, too."""
    isolate_on_out_of_memory: bool = Field(True, exclude_if=lambda on: on)
    """Whether a run that its standing container has no memory for is executed again, isolated."""

    @classmethod
    def load(cls, parameter: str, client: SSMClient) -> Self:
        """Reads the manifest from SSM.

        Fields that this version does not know are ignored, so that a deployment may be updated
        before the images of its code locations are.

        Args:
            parameter: Name of the SSM parameter, such as ``/run-isolation/prod/manifest``.
            client: An SSM client of the deployment's region.

        Raises:
            ManifestError: It can't be read or understood.
        """
        try:
            value = client.get_parameter(Name=parameter)["Parameter"]["Value"]
        except (BotoCoreError, ClientError) as error:
            raise ManifestError(
                parameter,
                problem=f"it can't be read: {error}.",
                mend="Check name, region and ssm:GetParameter; `pulumi up` writes it.",
            ) from error
        try:
            return cls.model_validate_json(value, extra="ignore")
        except ValidationError as error:
            raise ManifestError(
                parameter,
                problem=f"this version does not understand it: {error}.",
                mend="Use the release of run-isolation in this image that `pulumi up` used.",
            ) from error

    @property
    def named(self) -> dict[str, Location]:
        """The code locations by the names that Dagster knows them by."""
        return {one.location_name or name: one for name, one in self.locations.items()}

    def key(self, name: str) -> str:
        """What the stack's config calls a code location, by the name that Dagster knows."""
        keys = (key for key, one in self.locations.items() if one.location_name == name)
        return next(keys, name)

    def location(self, name: str) -> Location:
        """The code location that Dagster knows by this name.

        A run that waited while its code location got a ``locationName`` has the key, as before.

        Raises:
            ManifestError: The deployment has none.
        """
        named = self.named
        found = named.get(name) or self.locations.get(name)
        if found is not None:
            return found
        close = get_close_matches(name, named, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise ManifestError(
            f"/run-isolation/{self.deployment}/manifest",
            problem=f"it has no code location {name!r}, but {sorted(named)}.{hint}",
            mend="Add it to the stack's config and run `pulumi up`.",
        )

    def to_json(self) -> str:
        """The SSM parameter's value. Keys are sorted, so that equal manifests are equal text."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
