"""What calls of DynamoDB need.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from moto.dynamodb.models import dynamodb_backends

from localaws.iam.needs.ask import Ask, Need, Row

_EXPRESSIONS: Final = (
    "ProjectionExpression",
    "ConditionExpression",
    "UpdateExpression",
    "FilterExpression",
    "KeyConditionExpression",
)
#: A name in an expression: an attribute of the item, or `#name` for one.
_NAME: Final = re.compile(r"(?<![:.\w#])(#?[A-Za-z_]\w*)(?!\w|\s*\()")
_WORDS: Final = frozenset(
    "SET REMOVE ADD DELETE AND OR NOT BETWEEN IN if_not_exists list_append size attribute_exists "
    "attribute_not_exists attribute_type begins_with contains".lower().split()
)
#: What a part of a transaction is called, and its action.
_PARTS: Final = {
    "Get": "GetItem",
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
}


def _arn(ask: Ask, table: str) -> str:
    return table if table.startswith("arn:") else ask.arn(f"table/{table}")


def _leading_keys(ask: Ask, table: str, items: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the hash keys of items, as text."""
    tables: Any = dynamodb_backends[ask.account][ask.region].tables
    known = tables.get(table.rsplit("/", 1)[-1])
    if known is None:
        return []
    values = [item[known.hash_key_attr] for item in items if known.hash_key_attr in item]
    return [str(next(iter(value.values()))) for value in values]


def _attributes(params: Mapping[str, Any]) -> list[str]:
    """Return the attributes that a call names, in items, keys and expressions."""
    names = params.get("ExpressionAttributeNames") or {}
    found = dict.fromkeys([*(params.get("Item") or {}), *(params.get("Key") or {})])
    # The older way, without expressions, names attributes in parameters of its own.
    for parameter in ("AttributesToGet", "AttributeUpdates", "Expected"):
        found |= dict.fromkeys(params.get(parameter) or [])
    for expression in _EXPRESSIONS:
        for name in _NAME.findall(params.get(expression) or ""):
            if name.lower() not in _WORDS:
                found[names.get(name, name)] = None
    return list(found)


def _need(ask: Ask, action: str, params: Mapping[str, Any], keys: Sequence[str]) -> Need:
    context: dict[str, str | Sequence[str]] = {}
    if keys:
        context["dynamodb:LeadingKeys"] = keys
    if attributes := _attributes(params):
        context["dynamodb:Attributes"] = attributes
    for name in ("ReturnValues", "ReturnConsumedCapacity", "Select"):
        if name in params:
            context[f"dynamodb:{name}"] = str(params[name])
    return Need(f"dynamodb:{action}", _arn(ask, str(params.get("TableName"))), context)


def _one_item(ask: Ask) -> Iterator[Need]:
    item = ask.params.get("Key") or ask.params.get("Item") or {}
    keys = _leading_keys(ask, str(ask.params.get("TableName")), [item])
    yield _need(ask, ask.operation, ask.params, keys)


def _query(ask: Ask) -> Iterator[Need]:
    """The one hash key that a query is for."""
    params = ask.params
    values = params.get("ExpressionAttributeValues") or {}
    first = re.search(r"=\s*(:\w+)", params.get("KeyConditionExpression") or "")
    value = values.get(first.group(1)) if first else None
    yield _need(ask, "Query", params, [str(next(iter(value.values())))] if value else [])


def _table(ask: Ask) -> Iterator[Need]:
    yield _need(ask, ask.operation, ask.params, [])


def _batch(ask: Ask) -> Iterator[Need]:
    for table, requests in (ask.params.get("RequestItems") or {}).items():
        if ask.operation == "BatchGetItem":
            items = list(requests.get("Keys") or [])
        else:
            parts = [part for request in requests for part in request.values()]
            items = [part.get("Item") or part.get("Key") or {} for part in parts]
        keys = _leading_keys(ask, table, items)
        yield _need(ask, ask.operation, {"TableName": table}, keys)


def _transaction(ask: Ask) -> Iterator[Need]:
    """Each part needs its own action: there is none for the whole.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html
    """
    for entry in ask.params.get("TransactItems") or []:
        for kind, part in entry.items():
            item = part.get("Key") or part.get("Item") or {}
            keys = _leading_keys(ask, str(part.get("TableName")), [item])
            yield _need(ask, _PARTS[kind], part, keys)


ROWS: Final[dict[str, Row]] = {
    **dict.fromkeys(("GetItem", "PutItem", "UpdateItem", "DeleteItem"), _one_item),
    "Query": _query,
    **dict.fromkeys(("Scan", "DescribeTable", "DescribeTimeToLive"), _table),
    **dict.fromkeys(("BatchGetItem", "BatchWriteItem"), _batch),
    **dict.fromkeys(("TransactGetItems", "TransactWriteItems"), _transaction),
}
