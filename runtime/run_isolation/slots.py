"""Slots: how many runs may go on without their own task, never one more.

All holders of the deployment are one map in one DynamoDB item, by run id::

    {"pk": "slots", "holders": {"<run id>": {"attempt": 1, "location": "sales", "since": "...",
                                             "hosted_by": "<task ARN>@<ip:port>"}}}

Acquiring adds the run's own entry on the condition that the map is smaller than the limit. DynamoDB
applies condition and write as one step and one after the other
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/WorkingWithItems.html#WorkingWithItems.ConditionalUpdate),
so any number of launchers on any number of machines agree on the count. Why a map of holders:

* A counter counts twice when an answer is lost and the SDK repeats the call. An entry of the same
  name is there once, however often it is written: whoever asks again finds itself a holder.
* A lease ends by a clock, while its holder may be stopped or slow and still at work. An entry ends
  when somebody who knows that the run's process is gone removes it. No clock is read here.
* Every later write names run and attempt in its condition. A process that comes back from the dead
  can neither remove nor replace the entry of a newer attempt of its run.

A slot's life: a launcher acquires it; the standing server writes its name into the entry just
before it starts the process (``host``), or starts nothing where the entry is gone; the server
releases it when the process is over. So an entry without a server has no process, and of one with a
server there is somebody to ask.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from run_isolation.errors import SupersededError
from run_isolation.server_identity import ServerIdentity
from run_isolation.settings import NonIsolatedRuns, read_settings
from run_isolation.table import HASH_KEY, SLOTS_KEY, answering, refused_item

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

_KEY: Final[Any] = {HASH_KEY: {"S": SLOTS_KEY}}

_THERE_IS_ROOM: Final = "attribute_exists(holders) AND size(holders) < :limit"
_NOT_YET_A_HOLDER: Final = "attribute_not_exists(holders.#run)"
_OLDER_ATTEMPT_HOLDS: Final = "holders.#run.attempt < :attempt"
"""It passes its slot on. This attempt's own entry stays as it is: a request that is repeated late
must not wipe out the server in it. The refusal shows that it is there."""
_MAY_JOIN: Final = f"({_THERE_IS_ROOM} AND {_NOT_YET_A_HOLDER}) OR {_OLDER_ATTEMPT_HOLDS}"

_IS_MINE: Final = "holders.#run.attempt = :attempt"
_NOT_HOSTED: Final = "attribute_not_exists(holders.#run.hosted_by)"
_HOSTED_BY: Final = "holders.#run.hosted_by = :server"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class Holder:
    """One attempt of one run, as it holds a slot or asks for one."""

    run_id: str
    attempt: int
    """Which launch of this run, counted from 1. A higher one says that the lower ones are over."""
    location: str
    """Its code location."""
    since: str = field(default_factory=_now, compare=False)
    """When it asked, UTC in ISO 8601. For people to read: nothing is decided by it."""
    hosted_by: ServerIdentity | None = None
    """The server that has its process, or is about to start it. None: nobody has begun."""


@dataclass(frozen=True)
class Acquired:
    """The run holds a slot, until it is released."""

    holder: Holder


@dataclass(frozen=True)
class Denied:
    """All slots are taken."""

    holders: tuple[Holder, ...]
    """By whom, at the very moment of the denial; the longest first."""
    limit: int


@dataclass(frozen=True)
class Disabled:
    """The deployment's settings allow no run to go without its own task."""


@dataclass(frozen=True)
class Slots:
    """The slots of one deployment. Safe to share between threads and to copy to any machine."""

    client: DynamoDBClient
    table: str

    def settings(self) -> NonIsolatedRuns:
        """The deployment's settings as they are now.

        Raises:
            TableError: They could not be read.
        """
        return read_settings(self.client, self.table)

    def acquire(self, holder: Holder) -> Acquired | Denied | Disabled:
        """Takes a slot for a run, if one is free under the settings of this moment.

        Two calls: a strongly consistent read of the settings, so that an acquire that begins after
        ``pulumi up`` has returned obeys what it wrote, and one conditional write.

        Asking again for the same attempt gives the same answer while it holds the slot, also after
        the limit was lowered or everything disabled. A newer attempt takes over its own run's slot,
        which needs no free one: whoever starts it knows that the older one's process is gone.

        Raises:
            SupersededError: A newer attempt of this run holds its slot: launch nothing.
            TableError: Whether a slot is free is not known; the write may have been applied, so
                release it before going another way. The reconciler does it if you can't.
        """
        settings = self.settings()
        refusal = self._put(holder, settings.limit)
        if refusal is not None and not _has_holders(refusal):
            self._create()
            refusal = self._put(holder, settings.limit)
        if refusal is None:
            return Acquired(holder)
        holders = _holders(refusal)
        for other in holders:
            if other.run_id == holder.run_id and other.attempt > holder.attempt:
                raise SupersededError(holder.run_id, holder.attempt, newer_attempt=other.attempt)
            if other.run_id == holder.run_id:
                return Acquired(other)
        return Denied(holders, settings.limit) if settings.enabled else Disabled()

    def host(self, run_id: str, attempt: int, server: ServerIdentity) -> bool:
        """Notes the server that is about to start the attempt's process.

        Returns:
            Whether to start it: the attempt holds a slot, and no other server has it. From then on
            the slot is not free before this server, or the end of its task, says so.

        Raises:
            TableError: Not known: start nothing.
        """
        return self._change(
            "SET holders.#run.hosted_by = :server",
            f"{_IS_MINE} AND ({_NOT_HOSTED} OR {_HOSTED_BY})",
            run_id,
            {":attempt": {"N": str(attempt)}, ":server": {"S": server.to_server_id()}},
        )

    def release(self, run_id: str, attempt: int) -> bool:
        """Gives the slot of this attempt back, if it is still this attempt's.

        Whoever knows that the attempt's process is gone, or that it will not be started, may call
        it, any number of times.

        Returns:
            Whether this call removed the holder. False: it was not there, or a newer attempt's.

        Raises:
            TableError: The holder may still be there. The reconciler comes back to it.
        """
        values = {":attempt": {"N": str(attempt)}}
        return self._change("REMOVE holders.#run", _IS_MINE, run_id, values)

    def remove(self, seen: Holder) -> bool:
        """Removes a holder if it is still as it was seen, above all hosted by no other server.

        Returns:
            Whether this call removed the holder.

        Raises:
            TableError: The holder may still be there.
        """
        values = {":attempt": {"N": str(seen.attempt)}}
        if seen.hosted_by is None:
            unchanged = f"{_IS_MINE} AND {_NOT_HOSTED}"
        else:
            unchanged = f"{_IS_MINE} AND {_HOSTED_BY}"
            values[":server"] = {"S": seen.hosted_by.to_server_id()}
        return self._change("REMOVE holders.#run", unchanged, seen.run_id, values)

    def holders(self) -> tuple[Holder, ...]:
        """Who holds a slot now (a strongly consistent read), the longest first.

        Raises:
            TableError: They could not be read.
        """
        with answering("dynamodb:GetItem", self.table):
            response = self.client.get_item(TableName=self.table, Key=_KEY, ConsistentRead=True)
        return _holders(response.get("Item", {}))

    def _put(self, holder: Holder, limit: int) -> Mapping[str, Any] | None:
        """Adds the holder; None when done, else the item as it is."""
        with answering("dynamodb:UpdateItem", self.table):
            try:
                self.client.update_item(
                    TableName=self.table,
                    Key=_KEY,
                    UpdateExpression="SET holders.#run = :holder",
                    ConditionExpression=_MAY_JOIN,
                    ExpressionAttributeNames={"#run": holder.run_id},
                    ExpressionAttributeValues={
                        ":holder": _to_attribute(holder),
                        ":attempt": {"N": str(holder.attempt)},
                        ":limit": {"N": str(limit)},
                    },
                    # A denial says who holds the slots, for no further call.
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
            except self.client.exceptions.ConditionalCheckFailedException as error:
                return refused_item(error)
        return None

    def _change(self, update: str, condition: str, run_id: str, values: Mapping[str, Any]) -> bool:
        """One write to the run's entry; False where the condition failed."""
        with answering("dynamodb:UpdateItem", self.table):
            try:
                self.client.update_item(
                    TableName=self.table,
                    Key=_KEY,
                    UpdateExpression=update,
                    ConditionExpression=condition,
                    ExpressionAttributeNames={"#run": run_id},
                    ExpressionAttributeValues=values,
                )
            except self.client.exceptions.ConditionalCheckFailedException:
                return False
        return True

    def _create(self) -> None:
        """Creates the empty map, once in a deployment's life. One that is there stays as it is."""
        with answering("dynamodb:UpdateItem", self.table):
            self.client.update_item(
                TableName=self.table,
                Key=_KEY,
                UpdateExpression="SET holders = if_not_exists(holders, :none)",
                ExpressionAttributeValues={":none": {"M": {}}},
            )


def _to_attribute(holder: Holder) -> Any:
    return {
        "M": {
            "attempt": {"N": str(holder.attempt)},
            "location": {"S": holder.location},
            "since": {"S": holder.since},
        }
    }


def _from_attribute(run_id: str, value: Mapping[str, Any]) -> Holder:
    entry = value["M"]
    return Holder(
        run_id=run_id,
        attempt=int(entry["attempt"]["N"]),
        location=entry["location"]["S"],
        since=entry["since"]["S"],
        hosted_by=ServerIdentity.from_server_id(entry.get("hosted_by", {"S": ""})["S"]),
    )


def _has_holders(item: Mapping[str, Any]) -> bool:
    return "holders" in item


def _holders(item: Mapping[str, Any]) -> tuple[Holder, ...]:
    entries = item.get("holders", {"M": {}})["M"]
    holders = (_from_attribute(run_id, value) for run_id, value in entries.items())
    return tuple(sorted(holders, key=lambda holder: (holder.since, holder.run_id)))
