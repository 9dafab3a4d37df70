"""What the benchmark asks of ours and of every rival."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

FOREVER_SECONDS: Final = 60.0
"""A lease that does not end while something is measured."""


class Contender(ABC):
    """One caller's way to slots: a library as its documentation says to use it.

    A caller is one thread or one process; it makes an instance of its own. Where DynamoDB is and
    who is calling comes from the environment, as the AWS SDK reads it.
    """

    name: ClassVar[str]
    counts_slots: ClassVar[bool] = False
    """Whether it can let in more than one at once."""
    hash_key: ClassVar[tuple[str, str]] = ("pk", "S")
    range_key: ClassVar[tuple[str, str] | None] = None

    def __init__(self, table: str, limit: int = 1, lease_seconds: float = FOREVER_SECONDS) -> None:
        self.table = table
        self.limit = limit
        self.lease_seconds = lease_seconds

    @classmethod
    def provision(cls, client: DynamoDBClient, table: str, limit: int) -> None:
        """Creates what it needs, for so many slots."""
        create_table(client, table, [key for key in (cls.hash_key, cls.range_key) if key])

    @abstractmethod
    def try_acquire(self, who: str) -> bool:
        """Asks once. Whether ``who`` was told that it is in."""

    @abstractmethod
    def release(self, who: str) -> None:
        """Gives back what this caller took for ``who``."""

    def acquire(self, who: str, wait_seconds: float) -> bool:
        """Asks until it is in or the time is over."""
        deadline = time.monotonic() + wait_seconds
        while not self.try_acquire(who):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def free(self, who: str) -> bool:
        """Takes the slot of a caller that is known to be dead, by another caller.

        Returns:
            Whether the library has a way to do that.
        """
        return False

    @classmethod
    def held(cls, client: DynamoDBClient, table: str) -> int:
        """How many slots are taken, as the table says."""
        return client.scan(TableName=table, ConsistentRead=True, Select="COUNT")["Count"]


def create_table(client: DynamoDBClient, table: str, keys: Sequence[tuple[str, str]]) -> None:
    """Creates a table from the names and types of its hash key and, perhaps, its range key."""
    types: Mapping[int, Any] = {0: "HASH", 1: "RANGE"}
    attributes: list[Any] = [{"AttributeName": name, "AttributeType": kind} for name, kind in keys]
    client.create_table(
        TableName=table,
        KeySchema=[
            {"AttributeName": name, "KeyType": types[n]} for n, (name, _) in enumerate(keys)
        ],
        AttributeDefinitions=attributes,
        BillingMode="PAY_PER_REQUEST",
    )
