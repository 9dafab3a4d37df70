"""The libraries on the package index that a user would otherwise take.

Not among them: idemkit (its aioboto3 pins an older botocore than ours), Redis-backed semaphores,
and state-machine-semaphore (a Step Functions construct, no library). Not in any of them: denials
that name the holders.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer, IdempotencyConfig
from aws_lambda_powertools.utilities.idempotency.exceptions import IdempotencyItemAlreadyExistsError
from dynamo_dlm import DynamoDbLock, LockNotAcquiredError
from limiter.exceptions import CapacityExhaustedException
from limiter.managers import NonFungibleTokenManager
from python_dynamodb_lock.python_dynamodb_lock import DynamoDBLockClient, DynamoDBLockError

from bench.slots.contenders import FOREVER_SECONDS, Contender, create_table

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


class PythonDynamoDBLock(Contender):
    """python-dynamodb-lock: one holder a lock; lease and heartbeat; the reader times the lease."""

    name = "python-dynamodb-lock"
    hash_key = ("lock_key", "S")
    range_key = ("sort_key", "S")

    def __init__(self, table: str, limit: int = 1, lease_seconds: float = FOREVER_SECONDS) -> None:
        super().__init__(table, limit, lease_seconds)
        # The ratios of its defaults: lease 30 s, safe 20 s, heartbeat 5 s.
        self._client = DynamoDBLockClient(
            boto3.Session().resource("dynamodb"),
            table_name=table,
            lease_duration=timedelta(seconds=lease_seconds),
            safe_period=timedelta(seconds=lease_seconds * 2 / 3),
            heartbeat_period=timedelta(seconds=lease_seconds / 6),
        )
        self._locks: dict[str, Any] = {}

    def try_acquire(self, who: str) -> bool:
        """Asks once."""
        return self.acquire(who, wait_seconds=0.0)

    def acquire(self, who: str, wait_seconds: float) -> bool:
        """It waits by itself: only a waiter sees that a lease is over."""
        # Zero would mean its default. This wait is over before a second try.
        wait_seconds = max(wait_seconds, 1e-6)
        try:
            self._locks[who] = self._client.acquire_lock(
                "lock",
                retry_period=timedelta(seconds=min(0.05, wait_seconds * 2)),
                retry_timeout=timedelta(seconds=wait_seconds),
            )
        except DynamoDBLockError as error:
            if error.code != DynamoDBLockError.ACQUIRE_TIMEOUT:
                raise
            return False
        return True

    def release(self, who: str) -> None:
        """Deletes the lock, if its version is still the one known here."""
        self._client.release_lock(self._locks.pop(who))


class PowertoolsIdempotency(Contender):
    """Powertools' idempotency layer, held by one key for all callers.

    A function that fails deletes its record, which is the release here: one that succeeds keeps it.
    """

    name = "Powertools idempotency"
    hash_key = ("id", "S")

    def __init__(self, table: str, limit: int = 1, lease_seconds: float = FOREVER_SECONDS) -> None:
        super().__init__(table, limit, lease_seconds)
        client = boto3.Session().client("dynamodb")
        self._layer = DynamoDBPersistenceLayer(table, boto3_client=client)
        self._layer.configure(IdempotencyConfig())

    def try_acquire(self, who: str) -> bool:
        """Saves the record of a function in progress."""
        try:
            self._layer.save_inprogress(
                data={"key": "lock"}, remaining_time_in_millis=int(self.lease_seconds * 1000)
            )
        except IdempotencyItemAlreadyExistsError:
            return False
        return True

    def release(self, who: str) -> None:
        """Deletes the record, whoever's it is by now."""
        self._layer.delete_record(data={"key": "lock"}, exception=RuntimeError())

    def free(self, who: str) -> bool:
        """The same call: the record has no owner."""
        self.release(who)
        return True


class DynamoDlm(Contender):
    """dynamo-dlm: as many locks as slots, tried in order; a lease by the wall clock."""

    name = "dynamo-dlm"
    counts_slots = True
    hash_key = ("resource_id", "S")
    range_key = ("concurrency_id", "N")

    def __init__(self, table: str, limit: int = 1, lease_seconds: float = FOREVER_SECONDS) -> None:
        super().__init__(table, limit, lease_seconds)
        # One lock object keeps one slot; making one costs a whole SDK resource.
        self._idle = [self._lock()]
        self._locks: dict[str, Any] = {}

    def _lock(self) -> Any:
        return DynamoDbLock(
            "lock",
            duration=int(self.lease_seconds),
            table_name=self.table,
            concurrency=self.limit,
            wait_forever=False,
        )

    def try_acquire(self, who: str) -> bool:
        """Asks once, for each slot."""
        lock = self._idle.pop() if self._idle else self._lock()
        try:
            lock.acquire()
        except LockNotAcquiredError:
            # Without this the object refuses to ask again: acquire() keeps its code after a denial.
            lock._release_code = None
            self._idle.append(lock)
            return False
        self._locks[who] = lock
        return True

    def release(self, who: str) -> None:
        """Deletes the slot's record, if it has still this lock's code."""
        lock = self._locks.pop(who)
        lock.release()
        self._idle.append(lock)


class RateLimiter(Contender):
    """rate-limiter-modern-py's non-fungible tokens: a limit in a table, a query counts."""

    name = "rate-limiter-modern-py"
    counts_slots = True
    hash_key = ("resourceCoordinate", "S")
    range_key = ("reservationId", "S")

    def __init__(self, table: str, limit: int = 1, lease_seconds: float = FOREVER_SECONDS) -> None:
        super().__init__(table, limit, lease_seconds)
        self._manager = NonFungibleTokenManager(table, f"{table}-limits", "slots", default_limit=0)
        self._reservations: dict[str, Any] = {}

    @classmethod
    def provision(cls, client: DynamoDBClient, table: str, limit: int) -> None:
        """Its tables of tokens and of limits."""
        super().provision(client, table, limit)
        create_table(client, f"{table}-limits", [("resourceName", "S"), ("accountId", "S")])
        item: Any = {
            "resourceName": {"S": "slots"},
            "accountId": {"S": "all"},
            "limit": {"N": str(limit)},
            "windowSec": {"N": "0"},
        }
        client.put_item(TableName=f"{table}-limits", Item=item)

    def try_acquire(self, who: str) -> bool:
        """Asks once. A reservation lasts 300 seconds, whatever the lease here."""
        try:
            self._reservations[who] = self._manager.get_reservation("all")
        except CapacityExhaustedException:
            return False
        return True

    def release(self, who: str) -> None:
        """Deletes the reservation."""
        self._reservations.pop(who).delete()
