"""Writes to the slots item."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from run_isolation.slots.item import KEY
from run_isolation.table import answering, refused_item

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


def write(
    client: DynamoDBClient,
    table: str,
    update: str,
    condition: str | None = None,
    names: Mapping[str, str] | None = None,
    values: Mapping[str, Any] | None = None,
) -> Mapping[str, Any] | None:
    """One write to the item, by expressions of DynamoDB's.

    Returns:
        None when done, else the item that did not meet the condition: a denial says who holds the
        slots, for no further call.

    Raises:
        TableError: It may have been applied or not.
    """
    only: Any = {"ConditionExpression": condition} if condition else {}
    only |= {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"} if condition else {}
    only |= {"ExpressionAttributeNames": names} if names else {}
    only |= {"ExpressionAttributeValues": values} if values else {}
    with answering("dynamodb:UpdateItem", table):
        try:
            client.update_item(TableName=table, Key=KEY, UpdateExpression=update, **only)
        except client.exceptions.ConditionalCheckFailedException as error:
            return refused_item(error)
    return None
