"""This project's slots, and the least that a lock on DynamoDB can be."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, ClassVar

from bench.slots.contenders import FOREVER_SECONDS, Contender
from run_isolation import Acquired, Holder, NonIsolatedRuns, Slots, aws
from run_isolation.table import HASH_KEY

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


class Ours(Contender):
    """`run_isolation.Slots`. The limit is beside the holders, in the item that is written."""

    name = "ours"
    counts_slots = True
    hash_key = (HASH_KEY, "S")

    def __init__(self, table: str, limit: int = 1, lease_seconds: float = FOREVER_SECONDS) -> None:
        super().__init__(table, limit, lease_seconds)
        self._slots = Slots(aws.dynamodb(), table, "sales")

    @classmethod
    def provision(cls, client: DynamoDBClient, table: str, limit: int) -> None:
        """The table and the settings, as `pulumi up` writes them."""
        super().provision(client, table, limit)
        settings = NonIsolatedRuns(enabled=True, max_concurrent_non_isolated_runs=limit)
        client.put_item(TableName=table, Item=settings.to_item())
        Slots(client, table).set_limits(settings)

    def try_acquire(self, who: str) -> bool:
        """Asks once."""
        return isinstance(self._slots.acquire(Holder(who, 1, "sales")), Acquired)

    def release(self, who: str) -> None:
        """As the standing server does at the end of a run."""
        self._slots.release(who, 1)

    def free(self, who: str) -> bool:
        """As the reconciler does when the run's task is stopped."""
        return self._slots.release(who, 1)

    @classmethod
    def held(cls, client: DynamoDBClient, table: str) -> int:
        """The holders in the item."""
        return len(Slots(client, table).holders())


class BareLock(Contender):
    """A lock in two calls: put if absent, delete. For more slots, as many locks.

    The client is ours, so that it differs in the calls alone.
    """

    name = "bare lock"
    counts_slots: ClassVar[bool] = True

    def __init__(self, table: str, limit: int = 1, lease_seconds: float = FOREVER_SECONDS) -> None:
        super().__init__(table, limit, lease_seconds)
        self._client = aws.dynamodb()
        self._keys: dict[str, Any] = {}

    def try_acquire(self, who: str) -> bool:
        """Tries the locks one after the other, from any one on."""
        first = random.randrange(self.limit)
        for n in range(self.limit):
            key = {"pk": {"S": f"lock-{(first + n) % self.limit}"}}
            try:
                self._client.put_item(
                    TableName=self.table,
                    Item={**key, "who": {"S": who}},
                    ConditionExpression="attribute_not_exists(pk)",
                )
            except self._client.exceptions.ConditionalCheckFailedException:
                continue
            self._keys[who] = key
            return True
        return False

    def release(self, who: str) -> None:
        """Deletes the lock, whoever's it is by now."""
        self._client.delete_item(TableName=self.table, Key=self._keys.pop(who))

    def free(self, who: str) -> bool:
        """As an operator does by hand."""
        for item in self._client.scan(TableName=self.table)["Items"]:
            if item["who"]["S"] == who:
                self._client.delete_item(TableName=self.table, Key={"pk": item["pk"]})
        return True
