"""The slot table as infra/ creates it."""

from types_boto3_dynamodb import DynamoDBClient

from run_isolation import NonIsolatedRuns
from run_isolation.table import HASH_KEY

TABLE = "run-isolation-test-slots"


def create_table(client: DynamoDBClient, table: str = TABLE) -> None:
    client.create_table(
        TableName=table,
        KeySchema=[{"AttributeName": HASH_KEY, "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": HASH_KEY, "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )


def configure(client: DynamoDBClient, settings: NonIsolatedRuns, table: str = TABLE) -> None:
    """What `pulumi up` does with the settings."""
    client.put_item(TableName=table, Item=settings.to_item())


def enable(client: DynamoDBClient, limit: int) -> None:
    configure(client, NonIsolatedRuns(enabled=True, max_concurrent_non_isolated_runs=limit))
