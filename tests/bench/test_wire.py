from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer
from types_boto3_dynamodb import DynamoDBClient

from bench.wire import Call, Wire, wire_to

TABLE = "table-of-the-wire"


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    server = ThreadedMotoServer("127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    with wire_to(f"http://{host}:{port}") as wire:
        yield wire
    server.stop()


@pytest.fixture(scope="module")
def client(wire: Wire) -> DynamoDBClient:
    client = boto3.client(
        "dynamodb",
        endpoint_url=wire.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    client.create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return client


def _put_if_absent(client: DynamoDBClient, key: str) -> None:
    item: Any = {"pk": {"S": key}}
    client.put_item(TableName=TABLE, Item=item, ConditionExpression="attribute_not_exists(pk)")


def test_each_call_is_noted_with_its_units(client: DynamoDBClient, wire: Wire) -> None:
    wire.calls.clear()

    _put_if_absent(client, "noted")
    client.describe_table(TableName=TABLE)

    assert wire.calls == [Call("PutItem", 1.0)]


def test_a_refused_write_costs_units_and_changes_nothing(
    client: DynamoDBClient, wire: Wire
) -> None:
    _put_if_absent(client, "there")
    wire.calls.clear()

    with pytest.raises(client.exceptions.ConditionalCheckFailedException):
        _put_if_absent(client, "there")

    key: Any = {"pk": {"S": "there"}}
    assert client.get_item(TableName=TABLE, Key=key)["Item"] == key
    again = client.update_item(
        TableName=TABLE,
        Key=key,
        UpdateExpression="SET wheels = :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
        ReturnConsumedCapacity="TOTAL",
    )
    assert wire.calls[0] == Call("PutItem", again["ConsumedCapacity"]["CapacityUnits"])


def test_a_lost_answer_belongs_to_a_write_that_was_done(client: DynamoDBClient, wire: Wire) -> None:
    wire.calls.clear()
    wire.lose_answers_of_writes(1)

    # The SDK repeats it, and the first one's record refuses the second.
    with pytest.raises(client.exceptions.ConditionalCheckFailedException):
        _put_if_absent(client, "lost")

    assert [call.operation for call in wire.calls] == ["PutItem", "PutItem"]
