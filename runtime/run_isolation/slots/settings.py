"""The deployment's settings: what the stack config says, as an item of the slot table.

Pulumi writes the item, the runtime only reads it. It is an item of its own: the provider's
TableItem deletes what it does not know from the item that it manages
(internal/service/dynamodb/table_item.go in hashicorp/terraform-provider-aws).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from run_isolation.errors import SettingsError
from run_isolation.table import HASH_KEY, SETTINGS_KEY, answering

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

MOST_SLOTS: Final = 1000
"""The largest limit. The holders of all slots share one item, which DynamoDB caps at 400 KB
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html)."""


class NonIsolatedRuns(BaseModel):
    """Who may run without an own task. Spelled as Dagster+ spells its ``non_isolated_runs``.

    https://docs.dagster.io/deployment/dagster-plus/full-deployments/full-deployment-settings-reference
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    enabled: bool = False
    """False makes every run isolated."""
    max_concurrent_non_isolated_runs: int = Field(default=1, ge=1, le=MOST_SLOTS)
    """How many such runs may go on at once in the whole deployment."""
    allow_automated: bool = False
    """Whether schedules, sensors, backfills, automation and retries may ask for it, too."""

    @property
    def limit(self) -> int:
        """How many runs may hold a slot: none where it is disabled."""
        return self.max_concurrent_non_isolated_runs if self.enabled else 0

    def to_item(self) -> dict[str, dict[str, Any]]:
        """The DynamoDB item, in AttributeValue JSON."""
        return {
            HASH_KEY: {"S": SETTINGS_KEY},
            "enabled": {"BOOL": self.enabled},
            "max_concurrent_non_isolated_runs": {"N": str(self.max_concurrent_non_isolated_runs)},
            "allow_automated": {"BOOL": self.allow_automated},
        }

    @classmethod
    def from_item(cls, item: Mapping[str, Mapping[str, Any]]) -> NonIsolatedRuns:
        """Reads the DynamoDB item.

        An attribute that this version does not know is refused: it may forbid what this version
        would allow.

        Raises:
            SettingsError: The item holds anything else than ``to_item`` writes.
        """
        try:
            return cls.model_validate(
                {
                    name: int(value["N"]) if "N" in value else next(iter(value.values()))
                    for name, value in item.items()
                    if name != HASH_KEY
                }
            )
        except (ValidationError, ValueError) as error:
            raise SettingsError(problem=f"{error}.") from error


def read_settings(client: DynamoDBClient, table: str) -> NonIsolatedRuns:
    """Reads the settings as they are now (a strongly consistent read).

    Raises:
        TableError: They could not be read.
    """
    with answering("dynamodb:GetItem", table):
        response = client.get_item(
            TableName=table, Key={HASH_KEY: {"S": SETTINGS_KEY}}, ConsistentRead=True
        )
    if "Item" not in response:
        raise SettingsError(problem=f"table {table} has no item {SETTINGS_KEY!r}.")
    return NonIsolatedRuns.from_item(response["Item"])
