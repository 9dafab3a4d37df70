"""Slots: how many runs may go on without their own task, never one more.

All holders of the deployment are one map in one DynamoDB item, by run id::

    {"pk": "slots", "max_holders": 1,
     "holders": {"<run id>": {"attempt": 1, "location": "sales", "since": "...",
                              "hosted_by": "<task ARN>@<ip:port>"}}}

Acquiring adds the run's own entry on the condition that the map is smaller than the limit beside
it. DynamoDB applies condition and write as one step and one after the other
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

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from run_isolation.errors import SupersededError
from run_isolation.server_identity import ServerIdentity
from run_isolation.slots.item import (
    HOLDERS,
    KEY,
    MAX_HOLDERS,
    Holder,
    is_complete,
    read_holders,
    to_attribute,
)
from run_isolation.slots.settings import NonIsolatedRuns, read_settings
from run_isolation.table import answering, refused_item

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

_THERE_IS_ROOM: Final = "attribute_exists(holders) AND size(holders) < {limit}"
"""The limit is the item's own ``max_holders``, or the settings' ``:limit`` while it has none."""
_NOT_YET_A_HOLDER: Final = "attribute_not_exists(holders.#run)"
_OLDER_ATTEMPT_HOLDS: Final = "holders.#run.attempt < :attempt"
"""It passes its slot on. This attempt's own entry stays as it is: a request that is repeated late
must not wipe out the server in it. The refusal shows that it is there."""
_MAY_JOIN: Final = f"({_THERE_IS_ROOM} AND {_NOT_YET_A_HOLDER}) OR {_OLDER_ATTEMPT_HOLDS}"

_IS_MINE: Final = "holders.#run.attempt = :attempt"
_NOT_HOSTED: Final = "attribute_not_exists(holders.#run.hosted_by)"
_HOSTED_BY: Final = "holders.#run.hosted_by = :server"

_log: Final = logging.getLogger(__name__)


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

        One call: a conditional write. Limit and holders are in one item, so an acquire that begins
        after ``pulumi up`` has returned obeys what it wrote. While the item has no limit the
        settings say it: see ``set_limit``.

        Asking again for the same attempt gives the same answer while it holds the slot, also after
        the limit was lowered or everything disabled. A newer attempt takes over its own run's slot,
        which needs no free one: whoever starts it knows that the older one's process is gone.

        Raises:
            SupersededError: A newer attempt of this run holds its slot: launch nothing.
            TableError: Whether a slot is free is not known; the write may have been applied, so
                release it before going another way. The reconciler does it if you can't.
        """
        refusal = self._put(holder)
        if refusal is not None and not is_complete(refusal):
            refusal = self._put_by_the_settings(holder)
        answer = Acquired(holder) if refusal is None else _answer(holder, refusal)
        _log.debug(
            "Run %s, attempt %d, asked for a slot: %s", holder.run_id, holder.attempt, answer
        )
        return answer

    def set_limit(self, limit: int) -> None:
        """Makes it the limit of every acquire that begins after this call has returned.

        ``pulumi up`` calls it once it has written the settings, and ``clear_limit`` before it does.

        Args:
            limit: The most holders; 0 disables.

        Raises:
            TableError: It may be in force or not.
        """
        self._update(
            "SET max_holders = :limit, holders = if_not_exists(holders, :none)",
            {":limit": {"N": str(limit)}, ":none": {"M": {}}},
        )

    def clear_limit(self) -> None:
        """Makes every acquire read the settings, until ``set_limit``.

        So it never happens, wherever ``pulumi up`` is interrupted, that a limit counts here which
        the settings do not say.

        Raises:
            TableError: The limit may still be there.
        """
        self._update("REMOVE max_holders")

    def host(self, run_id: str, attempt: int, server: ServerIdentity) -> bool:
        """Notes the server that is about to start the attempt's process.

        Returns:
            Whether to start it: the attempt holds a slot, and no other server has it. From then on
            the slot is not free before this server, or the end of its task, says so.

        Raises:
            TableError: Not known: start nothing.
        """
        signed = self._change(
            "SET holders.#run.hosted_by = :server",
            f"{_IS_MINE} AND ({_NOT_HOSTED} OR {_HOSTED_BY})",
            run_id,
            {":attempt": {"N": str(attempt)}, ":server": {"S": server.to_server_id()}},
        )
        return _told(run_id, f"signature of {server}", done=signed)

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
        removed = self._change("REMOVE holders.#run", _IS_MINE, run_id, values)
        return _told(run_id, "release", done=removed)

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
        removed = self._change("REMOVE holders.#run", unchanged, seen.run_id, values)
        return _told(seen.run_id, "removal", done=removed)

    def holders(self) -> tuple[Holder, ...]:
        """Who holds a slot now (a strongly consistent read), the longest first.

        Raises:
            TableError: They could not be read.
        """
        with answering("dynamodb:GetItem", self.table):
            response = self.client.get_item(TableName=self.table, Key=KEY, ConsistentRead=True)
        return read_holders(response.get("Item", {}))

    def _put(self, holder: Holder, limit: int | None = None) -> Mapping[str, Any] | None:
        """Adds the holder, by this limit or by the item's own.

        Returns:
            None when done, else the item as it is.
        """
        values = {":holder": to_attribute(holder), ":attempt": {"N": str(holder.attempt)}}
        if limit is not None:
            values[":limit"] = {"N": str(limit)}
        which = MAX_HOLDERS if limit is None else ":limit"
        with answering("dynamodb:UpdateItem", self.table):
            try:
                self.client.update_item(
                    TableName=self.table,
                    Key=KEY,
                    UpdateExpression="SET holders.#run = :holder",
                    ConditionExpression=_MAY_JOIN.format(limit=which),
                    ExpressionAttributeNames={"#run": holder.run_id},
                    ExpressionAttributeValues=values,
                    # A denial says who holds the slots, for no further call.
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
            except self.client.exceptions.ConditionalCheckFailedException as error:
                return refused_item(error)
        return None

    def _put_by_the_settings(self, holder: Holder) -> Mapping[str, Any] | None:
        """Adds the holder while the item says no limit. As ``_put``."""
        limit = self.settings().limit
        refusal = self._put(holder, limit)
        if refusal is not None and HOLDERS not in refusal:
            # Somebody has deleted the item, or `pulumi up` has never come to its end.
            self._update("SET holders = if_not_exists(holders, :none)", {":none": {"M": {}}})
            refusal = self._put(holder, limit)
        return None if refusal is None else {MAX_HOLDERS: {"N": str(limit)}, **refusal}

    def _change(self, update: str, condition: str, run_id: str, values: Mapping[str, Any]) -> bool:
        """One write to the run's entry; False where the condition failed."""
        with answering("dynamodb:UpdateItem", self.table):
            try:
                self.client.update_item(
                    TableName=self.table,
                    Key=KEY,
                    UpdateExpression=update,
                    ConditionExpression=condition,
                    ExpressionAttributeNames={"#run": run_id},
                    ExpressionAttributeValues=values,
                )
            except self.client.exceptions.ConditionalCheckFailedException:
                return False
        return True

    def _update(self, update: str, values: Mapping[str, Any] | None = None) -> None:
        more: Any = {"ExpressionAttributeValues": values} if values else {}
        with answering("dynamodb:UpdateItem", self.table):
            self.client.update_item(TableName=self.table, Key=KEY, UpdateExpression=update, **more)


def _answer(holder: Holder, item: Mapping[str, Any]) -> Acquired | Denied | Disabled:
    """What the item that refused a holder says to it."""
    holders = read_holders(item)
    for other in holders:
        if other.run_id == holder.run_id and other.attempt > holder.attempt:
            raise SupersededError(holder.run_id, holder.attempt, newer_attempt=other.attempt)
        if other.run_id == holder.run_id:
            return Acquired(other)
    limit = int(item[MAX_HOLDERS]["N"])
    return Denied(holders, limit) if limit else Disabled()


def _told(run_id: str, what: str, *, done: bool) -> bool:
    """Whether a change of the run's entry was made."""
    why = "done" if done else "not done, as the entry is gone or has changed"
    _log.debug("Run %s: %s of its slot is %s.", run_id, what, why)
    return done
