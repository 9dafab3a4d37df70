"""The deployment that this process belongs to, looked up when first needed.

Dagster builds the coordinator and the launcher in any process that opens its instance, code servers
and steps included: their constructors must not call AWS.
"""

from __future__ import annotations

import logging
import os
import time
from functools import cached_property
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError

from run_isolation import aws
from run_isolation.errors import InstanceError, ManifestError
from run_isolation.instance import Instance
from run_isolation.manifest import Location, Manifest
from run_isolation.slots.slots import Slots
from run_isolation.table import LOCATION, TABLE, answering

if TYPE_CHECKING:
    from types_boto3_ecs import ECSClient
    from types_boto3_logs import CloudWatchLogsClient
    from types_boto3_servicediscovery import ServiceDiscoveryClient

MANIFEST: Final = "RUN_ISOLATION_MANIFEST"
"""Environment variable with the name of the manifest's SSM parameter."""

FRESH_SECONDS: Final = 15
"""How long a manifest is taken for the newest. Reading it is one GetParameter, of which an account
may make 40 a second (https://docs.aws.amazon.com/general/latest/gr/ssm.html)."""

_log: Final = logging.getLogger(__name__)

SWITCH: Final = "RUN_ISOLATION_DISABLED"
"""Environment variable: ``1`` makes every run isolated, by Dagster's own coordinator."""


def switched_off() -> bool:
    """Whether ``RUN_ISOLATION_DISABLED=1`` holds in this process."""
    return os.environ.get(SWITCH) == "1"


def load_manifest(deadline: aws.Deadline | None = None) -> Manifest:
    """Reads the manifest that the environment names.

    Args:
        deadline: Of the call; the usual one if None.

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
    try:
        client = aws.ssm(deadline=deadline)
    except BotoCoreError as error:
        raise ManifestError(
            parameter,
            problem=f"it can't be read: {error}.",
            mend="Check that this process has a role, and AWS_REGION.",
        ) from error
    return Manifest.load(parameter, client)


class Deployment:
    """Manifest and clients. Making one costs nothing; its members are looked up when asked for."""

    def __init__(self) -> None:
        self._manifest: Manifest | None = None
        self._read_at = 0.0
        self._instances: dict[str, Instance] = {}

    @property
    def manifest(self) -> Manifest:
        """At most FRESH_SECONDS old: subnets and sizes change while webserver and daemon run.

        Where it can't be read again, the one that was read last goes on counting.

        Raises:
            ManifestError: It could never be read.
        """
        if self._manifest is not None and time.monotonic() - self._read_at < FRESH_SECONDS:
            return self._manifest
        try:
            # Where there is one already, nobody waits for it to be read again.
            return self._read(aws.AT_ONCE if self._manifest else None)
        except ManifestError as error:
            if self._manifest is None:
                raise
            _log.warning("The manifest of before counts. %s", error)
            self._read_at = time.monotonic()
            return self._manifest

    def _read(self, deadline: aws.Deadline | None = None) -> Manifest:
        self._manifest = load_manifest(deadline)
        self._read_at = time.monotonic()
        return self._manifest

    @cached_property
    def slots(self) -> Slots:
        """The deployment's slots. In a task of ours no manifest is read for them.

        Raises:
            TableUnreachableError: There are no credentials, so far.
            ManifestError: Outside of a task: the manifest, which names the table, can't be read.
        """
        return self._slots()

    @cached_property
    def slots_at_once(self) -> Slots:
        """The same for threads of Dagster's in which others wait: one try, of less than a second.

        Raises:
            TableUnreachableError: As ``slots``.
            ManifestError: As ``slots``.
        """
        return self._slots(aws.AT_ONCE)

    def _slots(self, deadline: aws.Deadline | None = None) -> Slots:
        table = os.environ.get(TABLE)
        manifest = self.manifest if not table else None
        name = manifest.table if manifest else str(table)
        with answering("dynamodb:UpdateItem", name):
            client = aws.dynamodb(manifest.region if manifest else None, deadline)
        if manifest:
            return Slots(client, name, cluster=manifest.cluster)
        return Slots(client, name, location=os.environ.get(LOCATION))

    def instance(self, version: str) -> Instance:
        """A version of the deployment's Dagster instance: one GetItem, once.

        Raises:
            TableError: It can't be read.
            InstanceError: It is not there, or not understood.
            ManifestError: Outside of a task: the manifest, which names the table, can't be read.
        """
        if version not in self._instances:
            slots = self.slots
            self._instances[version] = Instance.load(slots.client, slots.table, version)
        return self._instances[version]

    def newest_instance(self) -> Instance:
        """The version that the manifest names.

        Raises:
            TableError: It can't be read.
            InstanceError: There is none, or it is not understood.
            ManifestError: The manifest can't be read.
        """
        version = self.manifest.instance_version
        if not version:
            raise InstanceError(
                "newest",
                problem="the manifest names none: the `pulumi up` of an earlier release wrote it.",
                mend="Run `pulumi up` of this release.",
            )
        return self.instance(version)

    @cached_property
    def ecs(self) -> ECSClient:
        """For watching and stopping tasks."""
        return aws.ecs(self.manifest.region)

    @cached_property
    def ecs_once(self) -> ECSClient:
        """For launches and health, in threads of Dagster's: the SDK repeats nothing there."""
        return aws.ecs(self.manifest.region, aws.ONCE)

    @cached_property
    def cloud_map(self) -> ServiceDiscoveryClient:
        """For what the names of code locations lead to."""
        return aws.cloud_map(self.manifest.region)

    @cached_property
    def logs(self) -> CloudWatchLogsClient:
        """For the output of tasks."""
        return aws.logs(self.manifest.region)

    def location(self, name: str) -> Location:
        """A code location. One that is not known yet makes the manifest be read again.

        Raises:
            ManifestError: The deployment has none of that name.
        """
        try:
            return self.manifest.location(name)
        except ManifestError:
            return self._read().location(name)
