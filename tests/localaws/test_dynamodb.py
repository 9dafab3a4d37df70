"""Conditional writes are exact, and would not be without the lock."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from localaws import dynamodb
from localaws.account import LocalAccount

LIMIT = 3
WRITERS = 16


@pytest.fixture
def table(local_account: LocalAccount) -> Iterator[Any]:
    client = local_account.client("dynamodb", config=Config(max_pool_connections=WRITERS))
    client.create_table(
        TableName="slots",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    yield client
    client.delete_table(TableName="slots")


def holders_after_a_rush(client: Any, pk: str) -> int:
    """Let all writers try to take one of the slots at once; return how many the item holds."""
    client.put_item(TableName="slots", Item={"pk": {"S": pk}, "holders": {"M": {}}})
    barrier = threading.Barrier(WRITERS)

    def take(writer: int) -> None:
        barrier.wait()
        try:
            client.update_item(
                TableName="slots",
                Key={"pk": {"S": pk}},
                UpdateExpression="SET holders.#me = :me",
                ConditionExpression="size(holders) < :limit",
                ExpressionAttributeNames={"#me": f"w{writer}"},
                ExpressionAttributeValues={":me": {"S": "x"}, ":limit": {"N": str(LIMIT)}},
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(take, range(WRITERS)))
    item = client.get_item(TableName="slots", Key={"pk": {"S": pk}}, ConsistentRead=True)["Item"]
    return len(item["holders"]["M"])


def test_no_rush_goes_over_the_limit(table: Any, frequent_switches: None) -> None:
    assert {holders_after_a_rush(table, f"r{n}") for n in range(20)} == {LIMIT}


def test_without_the_lock_some_rush_does(
    table: Any, frequent_switches: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamodb, "LOCK", contextlib.nullcontext())
    assert any(holders_after_a_rush(table, f"r{n}") > LIMIT for n in range(100))


def test_a_failed_condition_returns_the_old_item(table: Any) -> None:
    table.put_item(TableName="slots", Item={"pk": {"S": "a"}, "n": {"N": "1"}})
    with pytest.raises(ClientError) as caught:
        table.put_item(
            TableName="slots",
            Item={"pk": {"S": "a"}},
            ConditionExpression="attribute_not_exists(pk)",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    assert caught.value.response["Item"] == {"pk": {"S": "a"}, "n": {"N": "1"}}  # type: ignore[typeddict-item]
