"""An item and what others write to it: the same losses as with the real provider."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pulumi_aws as sdk
import pytest
from botocore.exceptions import ClientError

from localaws.account import LocalAccount
from localaws.provider import lifecycle
from localaws.provider.aws import Account, Aws
from localaws.provider.resource_types import TYPES
from tests.localaws.provider.engine import Engine

ITEM = TYPES["aws:dynamodb/tableItem:TableItem"]


class Others:
    """The table as its other users see it."""

    def __init__(self, account: LocalAccount, table: str) -> None:
        self.table = table
        self.dynamodb = account.client("dynamodb")

    def write(self, name: str, value: Any, key: str = "settings") -> None:
        self.dynamodb.update_item(
            TableName=self.table,
            Key={"pk": {"S": key}},
            UpdateExpression="SET #name = :value",
            ExpressionAttributeNames={"#name": name},
            ExpressionAttributeValues={":value": value},
        )

    def read(self, key: str = "settings") -> Any:
        found = self.dynamodb.get_item(TableName=self.table, Key={"pk": {"S": key}})
        return found.get("Item")


def item(key: str = "settings", **attributes: Any) -> dict[str, Any]:
    return {"pk": {"S": key}, **attributes}


@pytest.mark.engine
def test_a_refresh_sees_what_others_wrote_and_the_next_up_removes_it(
    new_engine: Callable[[], Engine], local_account: LocalAccount
) -> None:
    engine = new_engine()
    others = Others(local_account, engine.stack.name)

    def program() -> None:
        table = sdk.dynamodb.Table(
            "table",
            name=others.table,
            billing_mode="PAY_PER_REQUEST",
            hash_key="pk",
            attributes=[{"name": "pk", "type": "S"}],
        )
        wanted = json.dumps(item(limit={"N": "1"}))
        sdk.dynamodb.TableItem("item", table_name=table.name, hash_key="pk", item=wanted)

    engine.up(program)
    others.write("holders", {"M": {"run": {"S": "task"}}}, key="slots")
    assert not engine.refresh().changed  # another item is nobody's drift

    others.write("holders", {"M": {}})
    assert not engine.up(program).changed  # nobody looked yet
    assert engine.refresh().changed == {"item": ["update"]}
    assert engine.up(program).changed == {"item": ["update"]}
    assert others.read() == item(limit={"N": "1"})
    assert others.read("slots") == item("slots", holders={"M": {"run": {"S": "task"}}})
    engine.destroy()


class Managed:
    """An item under Pulumi, a step at a time and without the engine."""

    def __init__(self, aws: Aws, table: str, **attributes: Any) -> None:
        self.aws = aws
        self.table = table
        self.inputs = self._inputs(item(**attributes))
        self.id, self.state = lifecycle.create(ITEM, aws, self.inputs)

    def _inputs(self, wanted: dict[str, Any]) -> dict[str, Any]:
        return {"tableName": self.table, "hashKey": "pk", "item": json.dumps(wanted)}

    def differs(self, **attributes: Any) -> bool:
        wanted = self._inputs(item(**attributes))
        return bool(lifecycle.diff(ITEM, self.state, self.inputs, wanted).changed)

    def update(self, key: str = "settings", **attributes: Any) -> None:
        wanted = self._inputs(item(key, **attributes))
        self.state = lifecycle.update(ITEM, self.aws, self.id, self.state, self.inputs, wanted)
        self.inputs = wanted


@pytest.fixture
def others(local_account: LocalAccount) -> Iterator[Others]:
    made = Others(local_account, f"t{uuid.uuid4().hex[:6]}")
    made.dynamodb.create_table(
        TableName=made.table,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
    )
    yield made
    made.dynamodb.delete_table(TableName=made.table)


@pytest.fixture
def managed(others: Others, local_account: LocalAccount) -> Managed:
    account = Account(local_account.endpoint_url, local_account.environment())
    aws = Aws(account, local_account.region, timeout=5)
    return Managed(aws, others.table, limit={"N": "1"}, enabled={"BOOL": True})


def test_an_update_learns_of_what_others_wrote_too_late(managed: Managed, others: Others) -> None:
    others.write("holders", {"M": {}})
    managed.update(limit={"N": "2"}, enabled={"BOOL": True})
    assert others.read() == item(limit={"N": "2"}, enabled={"BOOL": True}, holders={"M": {}})
    assert managed.differs(limit={"N": "2"}, enabled={"BOOL": True})
    managed.update(limit={"N": "2"}, enabled={"BOOL": True})
    assert others.read() == item(limit={"N": "2"}, enabled={"BOOL": True})


def test_an_update_writes_every_attribute_not_only_the_changed_one(
    managed: Managed, others: Others
) -> None:
    others.write("enabled", {"BOOL": False})
    managed.update(limit={"N": "2"}, enabled={"BOOL": True})
    assert others.read() == item(limit={"N": "2"}, enabled={"BOOL": True})


def test_an_attribute_that_the_program_drops_goes(managed: Managed, others: Others) -> None:
    managed.update(limit={"N": "1"})
    assert others.read() == item(limit={"N": "1"})
    managed.update()
    assert others.read() == item()


def test_a_new_key_moves_the_item(managed: Managed, others: Others) -> None:
    managed.update("elsewhere", limit={"N": "1"})
    assert others.read() is None
    assert others.read("elsewhere") == item("elsewhere", limit={"N": "1"})
    lifecycle.delete(ITEM, managed.aws, managed.id, managed.state)
    assert others.read("elsewhere") is None


def test_an_item_that_exists_is_not_taken_over(managed: Managed, others: Others) -> None:
    with pytest.raises(ClientError, match="ConditionalCheckFailed"):
        Managed(managed.aws, others.table, limit={"N": "9"})
    assert others.read() == item(limit={"N": "1"}, enabled={"BOOL": True})


def test_deleting_takes_what_others_wrote_along(managed: Managed, others: Others) -> None:
    others.write("holders", {"M": {}})
    lifecycle.delete(ITEM, managed.aws, managed.id, managed.state)
    assert others.read() is None
    lifecycle.delete(ITEM, managed.aws, managed.id, managed.state)  # again, without an error


def test_an_item_can_be_read_by_its_id_alone(managed: Managed) -> None:
    # As an import does.
    found = lifecycle.read(ITEM, managed.aws, managed.id, {})
    assert found
    assert json.loads(found.pop("item")) == json.loads(managed.state.pop("item"))
    assert found == managed.state
