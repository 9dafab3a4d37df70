"""DynamoDB: single items, with the real provider's habits.

Those habits decide what may share an item with the program: a refresh reads the whole item, and the
next update removes every attribute that the program does not name. Source of each:
https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/dynamodb/table_item.go
"""

import json
from typing import Any, ClassVar

from localaws.provider.aws import Aws
from localaws.provider.resource import Handler
from localaws.provider.same_value import as_json
from localaws.provider.wire import Props

_SEPARATOR = ","


class TableItem(Handler):
    """One item. Its id is `<table>,<hash key attribute>,<JSON of the key>`."""

    required = ("tableName", "hashKey", "item")
    same: ClassVar = {"item": as_json}
    tagged = False

    def create(self, aws: Aws, inputs: Props) -> str:
        """PutItem, on the condition that there is none yet."""
        aws.client("dynamodb").put_item(
            TableName=inputs["tableName"],
            Item=json.loads(inputs["item"]),
            ConditionExpression="attribute_not_exists(#key)",
            ExpressionAttributeNames={"#key": inputs["hashKey"]},
        )
        key = json.dumps(_key(inputs)[inputs["hashKey"]], separators=(",", ":"))
        return _SEPARATOR.join((inputs["tableName"], inputs["hashKey"], key))

    def read(self, aws: Aws, resource_id: str, state: Props) -> Props | None:
        """GetItem of the whole item, also of what the program never wrote."""
        table, hash_key, value = resource_id.split(_SEPARATOR, 2)
        key = _key(state) if state else {hash_key: json.loads(value)}
        found = _get(aws, table, key)
        return found and {
            "tableName": table,
            "hashKey": hash_key,
            "item": json.dumps(found, sort_keys=True),
        }

    def update(self, aws: Aws, resource_id: str, old: Props, new: Props, changed: set[str]) -> None:
        """Write every attribute that is not the key, remove those that only the old state has.

        There is no condition: whatever else wrote to the item loses. A new key makes a new item
        and deletes the old one.
        """
        dynamodb, key = aws.client("dynamodb"), _key(new)
        before, after = json.loads(old["item"]), json.loads(new["item"])
        written = [name for name in after if name not in key]
        removed = [name for name in before if name not in after]
        # The real provider sends the same as legacy AttributeUpdates, which moto turns into text.
        dynamodb.update_item(
            TableName=new["tableName"], Key=key, **_expression(written, removed, after)
        )
        if _key(old) != key:
            dynamodb.delete_item(TableName=new["tableName"], Key=_key(old))

    def delete(self, aws: Aws, resource_id: str, state: Props) -> None:
        """DeleteItem, whatever it holds by now."""
        aws.client("dynamodb").delete_item(TableName=state["tableName"], Key=_key(state))


def _key(props: Props) -> dict[str, Any]:
    return {props["hashKey"]: json.loads(props["item"])[props["hashKey"]]}


def _expression(written: list[str], removed: list[str], item: Props) -> dict[str, Any]:
    """The update that sets some attributes of the item and removes others."""
    names = {f"#{index}": name for index, name in enumerate([*written, *removed])}
    values = {f":{index}": item[name] for index, name in enumerate(written)}
    sets = [f"#{index} = :{index}" for index in range(len(written))]
    removes = [f"#{index + len(written)}" for index in range(len(removed))]
    clauses = [("SET", sets), ("REMOVE", removes)]
    request = {
        "UpdateExpression": " ".join(f"{word} {', '.join(did)}" for word, did in clauses if did),
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": values,
    }
    return {field: value for field, value in request.items() if value}


def _get(aws: Aws, table: str, key: dict[str, Any]) -> Any:
    answer = aws.client("dynamodb").get_item(TableName=table, Key=key, ConsistentRead=True)
    return answer.get("Item")
