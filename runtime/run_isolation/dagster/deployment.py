"""The deployment that this process belongs to, looked up when first needed.

Dagster builds the coordinator and the launcher in any process that opens its instance, code servers
and steps included: their constructors must not call AWS.
"""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING, Final

from run_isolation import aws
from run_isolation.errors import ManifestError
from run_isolation.manifest import Location, Manifest
from run_isolation.slots import Slots

if TYPE_CHECKING:
    from types_boto3_ecs import ECSClient

MANIFEST: Final = "RUN_ISOLATION_MANIFEST"
"""Environment variable with the name of the manifest's SSM parameter."""

SWITCH: Final = "RUN_ISOLATION_DISABLED"
"""Environment variable: ``1`` makes every run isolated, by Dagster's own coordinator."""


def switched_off() -> bool:
    """Whether ``RUN_ISOLATION_DISABLED=1`` holds in this process."""
    return os.environ.get(SWITCH) == "1"


def load_manifest() -> Manifest:
    """Reads the manifest that the environment names.

    Raises:
        ManifestError: The environment names none, or it can't be read.
    """
    parameter = os.environ.get(MANIFEST)
    if not parameter:
        raise ManifestError(
            f"${MANIFEST}",
            problem="the environment names no manifest.",
            mend=f"Set {MANIFEST}=/run-isolation/<stack>/manifest; every task of ours has it.",
        )
    return Manifest.load(parameter, aws.ssm())


class Deployment:
    """Manifest and clients. Making one costs nothing; its members are kept once looked up."""

    @cached_property
    def manifest(self) -> Manifest:
        """As it was when this process first asked."""
        return load_manifest()

    @cached_property
    def slots(self) -> Slots:
        """The deployment's slots."""
        return Slots(aws.dynamodb(self.manifest.region), self.manifest.table)

    @cached_property
    def ecs(self) -> ECSClient:
        """For launching and watching tasks."""
        return aws.ecs(self.manifest.region)

    def location(self, name: str) -> Location:
        """A code location. One that is not known yet makes the manifest be read again.

        Raises:
            ManifestError: The deployment has none of that name.
        """
        try:
            return self.manifest.location(name)
        except ManifestError:
            self.manifest = load_manifest()
            return self.manifest.location(name)
