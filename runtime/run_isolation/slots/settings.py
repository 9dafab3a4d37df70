"""The deployment's settings: what the stack config says, as an item of the slot table.

Pulumi writes the item, the runtime only reads it. It is an item of its own: the provider's
TableItem deletes what it does not know from the item that it manages
(internal/service/dynamodb/table_item.go in hashicorp/terraform-provider-aws).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from run_isolation.errors import SettingsError
from run_isolation.slots.item import LOCATION_LIMITS, MAX_HOLDERS
from run_isolation.table import HASH_KEY, SETTINGS_KEY, answering

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

MOST_SLOTS: Final = 1000
"""The largest limit. The holders of all slots share one item, which DynamoDB caps at 400 KB
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html)."""


class NonIsolatedRunsSetting(BaseModel):
    """What a stack's config says for the whole deployment: Dagster+'s ``non_isolated_runs``.

    https://docs.dagster.io/deployment/dagster-plus/full-deployments/full-deployment-settings-reference
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    enabled: bool = False
    """False makes every run isolated."""
    max_concurrent_non_isolated_runs: int = Field(default=1, ge=1, le=MOST_SLOTS)
    """How many such runs may go on at once in the whole deployment."""
    allow_automated: bool = False
    """Whether schedules, sensors, backfills, automation and retries may ask for it, too."""


LocationLimit = Annotated[int, Field(ge=0, le=MOST_SLOTS)]


class NonIsolatedRuns(NonIsolatedRunsSetting):
    """Who may run without an own task: for the whole deployment, and for single code locations."""

    location_limits: dict[str, LocationLimit] = Field(default_factory=dict)
    """How many non-isolated runs a code location may have at once, by the name that Dagster knows,
    where that is less than the deployment's limit leaves it. 0: none."""

    @property
    def limit(self) -> int:
        """How many runs may hold a slot: none where it is disabled."""
        return self.max_concurrent_non_isolated_runs if self.enabled else 0

    def limit_of(self, location: str) -> int:
        """How many runs of a code location may hold a slot."""
        return min(self.limit, self.location_limits.get(location, self.limit))

    def limits_in_item(self) -> dict[str, Any]:
        """Attributes of the slots item, in AttributeValue JSON."""
        limits = {name: {"N": str(limit)} for name, limit in self.location_limits.items()}
        return {MAX_HOLDERS: {"N": str(self.limit)}, LOCATION_LIMITS: {"M": limits}}

    def to_item(self) -> dict[str, dict[str, Any]]:
        """The DynamoDB item, in AttributeValue JSON."""
        item: dict[str, dict[str, Any]] = {
            HASH_KEY: {"S": SETTINGS_KEY},
            "enabled": {"BOOL": self.enabled},
            "max_concurrent_non_isolated_runs": {"N": str(self.max_concurrent_non_isolated_runs)},
            "allow_automated": {"BOOL": self.allow_automated},
        }
        if self.location_limits:
            # Only then: a release that does not know it makes every run isolated, and says why.
            item[LOCATION_LIMITS] = self.limits_in_item()[LOCATION_LIMITS]
        return item

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
                {name: _value(value) for name, value in item.items() if name != HASH_KEY}
            )
        except (ValidationError, ValueError) as error:
            raise SettingsError(problem=f"{error}.") from error


def _value(value: Mapping[str, Any]) -> Any:
    """What an attribute says."""
    if "N" in value:
        return int(value["N"])
    if "M" in value:
        return {name: _value(one) for name, one in value["M"].items()}
    return next(iter(value.values()))


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
