"""The slot table as infra/ creates it."""

from collections.abc import Callable
from contextlib import suppress

from types_boto3_dynamodb import DynamoDBClient

from run_isolation import NonIsolatedRuns, Slots
from run_isolation.table import HASH_KEY

TABLE = "run-isolation-test-slots"


def create_table(client: DynamoDBClient, table: str = TABLE) -> None:
    # The SDK repeats a request whose answer is late, such as the first one of a cold emulator.
    with suppress(client.exceptions.ResourceInUseException):
        client.create_table(
            TableName=table,
            KeySchema=[{"AttributeName": HASH_KEY, "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": HASH_KEY, "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )


UP_STEPS = 3


def up(slots: Slots, settings: NonIsolatedRuns, steps: int = UP_STEPS) -> None:
    """What `pulumi up` does with the settings (infra/slot_table.py), or only its first steps."""
    writes: list[Callable[[], object]] = [
        slots.clear_limits,
        lambda: slots.client.put_item(TableName=slots.table, Item=settings.to_item()),
        lambda: slots.set_limits(settings),
    ]
    for write in writes[:steps]:
        write()


def configure(client: DynamoDBClient, settings: NonIsolatedRuns, table: str = TABLE) -> None:
    """A whole `pulumi up`."""
    up(Slots(client, table), settings)


def enable(client: DynamoDBClient, limit: int) -> None:
    configure(client, NonIsolatedRuns(enabled=True, max_concurrent_non_isolated_runs=limit))
