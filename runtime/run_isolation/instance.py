"""The deployment's Dagster instance: one document, versioned, the same for every actor.

`pulumi up` publishes it as an item of its own in the slot table, named by its hash: a version is
never changed, and one that something still uses is still there. The manifest says which is the
newest; the environment of a task says which is its own
(docs/decisions/33-one-instance.md).
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from run_isolation.errors import InstanceError
from run_isolation.table import HASH_KEY, answering, instance_key
from run_isolation.variables import references

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

VERSION: Final = "RUN_ISOLATION_INSTANCE"
"""Environment variable with the version that a task uses. RunTask sets it to the newest for an
isolated run, whatever its task definition says."""

OWN_VERSION: Final = "RUN_ISOLATION_OWN_INSTANCE"
"""Environment variable of isolated runs whose task definition is of an older version: which one.
ECS has given them the variables and secrets of that one."""

DOCUMENT: Final = "instance"
"""Attribute of the item that holds the document, as JSON."""

_VERSION_CHARACTERS: Final = 16
"""Of the SHA-256 in hexadecimal: 64 bits, for the few versions that a deployment ever has."""


class Instance(BaseModel):
    """One version of the instance. Strict and immutable: a typo in infra/ fails there."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    dagster_yaml: dict[str, Any]
    """All that ``dagster.yaml`` says, but for directories of an actor's own container."""
    env: dict[str, str] = Field(default_factory=dict)
    """Environment variables of every actor. Tasks get them from ECS."""
    secrets: dict[str, str] = Field(default_factory=dict)
    """By environment variable: ARN of a secret or SSM parameter, as in a task definition."""
    sensor_timeout_seconds: int | None = None
    """How long a tick of a sensor may take; None: as ``tick_timeouts`` says."""
    schedule_timeout_seconds: int | None = None

    @property
    def variables(self) -> frozenset[str]:
        """Environment variables that ``dagster.yaml`` names, as ``{env: NAME}``."""
        return frozenset(name for _, name in references(self.dagster_yaml))

    @property
    def version(self) -> str:
        """Its name: equal documents have equal names."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:_VERSION_CHARACTERS]

    def to_json(self) -> str:
        """The document's text. Keys are sorted."""
        return json.dumps(
            self.model_dump(mode="json", exclude_defaults=True),
            sort_keys=True,
            separators=(",", ":"),
        )

    def to_item(self) -> dict[str, dict[str, str]]:
        """The item of this version, as DynamoDB takes it."""
        return {HASH_KEY: {"S": instance_key(self.version)}, DOCUMENT: {"S": self.to_json()}}

    @classmethod
    def load(cls, client: DynamoDBClient, table: str, version: str) -> Self:
        """Reads one version: one GetItem.

        Fields that this release does not know are ignored, as in the manifest.

        Args:
            client: Of the deployment's region.
            table: Name of the slot table.
            version: Which one.

        Raises:
            TableError: It can't be read.
            InstanceError: It is not there, or not understood.
        """
        with answering("dynamodb:GetItem", table):
            found = client.get_item(
                TableName=table, Key={HASH_KEY: {"S": instance_key(version)}}, ConsistentRead=True
            )
        if "Item" not in found:
            raise InstanceError(
                version,
                problem=f"table {table} has no such item.",
                mend="Run `pulumi up`, which writes it.",
            )
        try:
            return cls.model_validate_json(found["Item"][DOCUMENT]["S"], extra="ignore")
        except (KeyError, ValidationError) as error:
            raise InstanceError(
                version,
                problem=f"this release does not understand it: {error}.",
                mend="Use the release of run-isolation in this image that `pulumi up` used.",
            ) from error
