"""Slots: how many runs may go on without their own task, never one more.

All holders of the deployment are one map in one DynamoDB item, by run id::

    {"pk": "slots", "max_holders": 3, "location_limits": {"sales": 1},
     "holders": {"<run id>": {"attempt": 1, "location": "sales", "since": "...",
                              "hosted_by": "<task ARN>@<ip:port>"}},
     "in:sales": {"<ticket of the run>"}}

Acquiring adds the run's own entry on the condition that the map is smaller than the limit beside
it, and its ticket to those of its code location on the condition that they are fewer than that
one's limit. DynamoDB applies conditions and write as one step and one after the other
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
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from run_isolation.server_identity import ServerIdentity
from run_isolation.slots import conditions, mending
from run_isolation.slots.answers import Acquired, Denied, Disabled, answer_of
from run_isolation.slots.item import (
    HOLDERS,
    KEY,
    LOCATION_LIMITS,
    MAX_HOLDERS,
    Contents,
    Holder,
    is_complete,
    location_limit,
    ticket,
    tickets_of,
    to_attribute,
)
from run_isolation.slots.settings import NonIsolatedRuns, read_settings
from run_isolation.slots.writing import write
from run_isolation.table import answering

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

__all__ = ["Acquired", "Denied", "Disabled", "Slots"]

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True)
class Slots:
    """The slots of one deployment. Safe to share between threads and to copy to any machine."""

    client: DynamoDBClient
    table: str
    location: str | None = None
    """The code location whose slots are signed and given back. Where it is None, tickets stay
    behind, for the reconciler or the next denial to find."""
    cluster: str | None = None
    """ARN of the cluster whose tasks alone host runs. None: hosts are read here, and not asked."""

    def of(self, location: str) -> Slots:
        """The same, for giving back slots of a code location."""
        return replace(self, location=location)

    def settings(self) -> NonIsolatedRuns:
        """The deployment's settings as they are now.

        Raises:
            TableError: They could not be read.
        """
        return read_settings(self.client, self.table)

    def acquire(self, holder: Holder) -> Acquired | Denied | Disabled:
        """Takes a slot for a run, if one is free under the settings of this moment.

        One call: a conditional write. Limits and holders are in one item, so an acquire that begins
        after ``pulumi up`` has returned obeys what it wrote. While the item has no limit the
        settings say it: see ``set_limits``.

        Asking again for the same attempt gives the same answer while it holds the slot, also after
        a limit was lowered or everything disabled. A newer attempt takes over its own run's slot,
        which needs no free one: whoever starts it knows that the older one's process is gone.

        Raises:
            SupersededError: A newer attempt of this run holds its slot: launch nothing.
            TableError: Whether a slot is free is not known; the write may have been applied, so
                release it before going another way. The reconciler does it if you can't.
        """
        refusal = self._ask(holder)
        if refusal is not None and self._left_behind(refusal, holder.location):
            mending.set_tickets(self.client, self.table, refusal)
            refusal = self._ask(holder)
        answer = Acquired(holder) if refusal is None else answer_of(holder, refusal, self.cluster)
        _log.debug(
            "Run %s, attempt %d, asked for a slot: %s", holder.run_id, holder.attempt, answer
        )
        return answer

    def set_limits(self, settings: NonIsolatedRuns) -> None:
        """Makes their limits those of every acquire that begins after this call has returned.

        ``pulumi up`` calls it once it has written the settings, and ``clear_limits`` before.

        Raises:
            TableError: They may be in force or not.
        """
        limits = settings.limits_in_item()
        write(
            self.client,
            self.table,
            "SET max_holders = :limit, location_limits = :locations, "
            "holders = if_not_exists(holders, :none)",
            values={
                ":limit": limits[MAX_HOLDERS],
                ":locations": limits[LOCATION_LIMITS],
                ":none": {"M": {}},
            },
        )

    def clear_limits(self) -> None:
        """Makes every acquire read the settings, until ``set_limits``.

        So it never happens, wherever ``pulumi up`` is interrupted, that a limit counts here which
        the settings do not say.

        Raises:
            TableError: The limits may still be there.
        """
        write(self.client, self.table, "REMOVE max_holders, location_limits")

    def host(self, run_id: str, attempt: int, server: ServerIdentity) -> bool:
        """Notes the server that is about to start the attempt's process.

        Returns:
            Whether to start it: the attempt holds a slot, and no other server has it. From then on
            the slot is not free before this server, or the end of its task, says so.

        Raises:
            TableError: Not known: start nothing.
        """
        free = f"({conditions.NOT_HOSTED} OR {conditions.HOSTED_BY})"
        signed = self._change(
            "SET holders.#run.hosted_by = :server",
            f"{conditions.IS_MINE} AND {free}",
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
        removed = self._take_away(conditions.IS_MINE, run_id, self.location, values)
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
            unchanged = f"{conditions.IS_MINE} AND {conditions.NOT_HOSTED}"
        else:
            unchanged = f"{conditions.IS_MINE} AND {conditions.HOSTED_BY}"
            values[":server"] = {"S": seen.hosted_by.to_server_id()}
        removed = self._take_away(unchanged, seen.run_id, seen.location, values)
        return _told(seen.run_id, "removal", done=removed)

    def holders(self) -> tuple[Holder, ...]:
        """Who holds a slot now (a strongly consistent read), the longest first.

        Raises:
            TableError: They could not be read, or some are none (HolderError).
        """
        return Contents.read(self._read(), self.cluster).sound()

    def mended_holders(self) -> tuple[Holder, ...]:
        """As ``holders``, for what must go on: puts right what is wrong with the item.

        Raises:
            TableError: They could not be read, or not be mended.
        """
        return mending.mend(self.client, self.table, self._read(), self.cluster)

    def _read(self) -> Mapping[str, Any]:
        with answering("dynamodb:GetItem", self.table):
            response = self.client.get_item(TableName=self.table, Key=KEY, ConsistentRead=True)
        return response.get("Item", {})

    def _ask(self, holder: Holder) -> Mapping[str, Any] | None:
        """Adds the holder. Returns None when done, else the item as it is, with its limits."""
        room, names = conditions.room_by_the_item(), {"#location": holder.location}
        refusal = self._put(holder, room, names, {":zero": {"N": "0"}})
        if refusal is None or is_complete(refusal):
            return refusal
        settings = self.settings()
        own = settings.location_limits.get(holder.location)
        limits = {":limit": {"N": str(settings.limit)}}
        if own is not None:
            limits[":location_limit"] = {"N": str(own)}
        room, names = conditions.room_by_the_settings(own), {}
        refusal = self._put(holder, room, names, limits)
        if refusal is not None and HOLDERS not in refusal:
            # Somebody has deleted the item, or `pulumi up` has never come to its end.
            begin = "SET holders = if_not_exists(holders, :none)"
            write(self.client, self.table, begin, values={":none": {"M": {}}})
            refusal = self._put(holder, room, names, limits)
        return None if refusal is None else {**refusal, **settings.limits_in_item()}

    def _left_behind(self, item: Mapping[str, Any], location: str) -> bool:
        """Whether a code location seems to have more holders than it has, by its limit."""
        limited = location_limit(item, location) is not None
        return limited and Contents.read(item).missed(location)

    def _put(
        self, holder: Holder, room: str, names: Mapping[str, str], values: Mapping[str, Any]
    ) -> Mapping[str, Any] | None:
        """Adds the holder and its ticket, where there is room. As ``_ask``."""
        return write(
            self.client,
            self.table,
            "SET holders.#run = :holder ADD #tickets :ticket",
            conditions.MAY_JOIN.format(room=room),
            {"#run": holder.run_id, "#tickets": tickets_of(holder.location), **names},
            {
                ":holder": to_attribute(holder),
                ":attempt": {"N": str(holder.attempt)},
                ":ticket": {"SS": [ticket(holder.run_id)]},
                **values,
            },
        )

    def _take_away(
        self, condition: str, run_id: str, location: str | None, values: Mapping[str, Any]
    ) -> bool:
        """Removes the run's entry and its ticket; False where the condition failed."""
        if location is None:
            return self._change("REMOVE holders.#run", condition, run_id, values)
        return self._change(
            "REMOVE holders.#run DELETE #tickets :ticket",
            condition,
            run_id,
            {**values, ":ticket": {"SS": [ticket(run_id)]}},
            {"#tickets": tickets_of(location)},
        )

    def _change(
        self,
        update: str,
        condition: str,
        run_id: str,
        values: Mapping[str, Any],
        names: Mapping[str, str] | None = None,
    ) -> bool:
        """One write to the run's entry; False where the condition failed."""
        names = {"#run": run_id, **(names or {})}
        return write(self.client, self.table, update, condition, names, values) is None


def _told(run_id: str, what: str, *, done: bool) -> bool:
    """Whether a change of the run's entry was made."""
    why = "done" if done else "not done, as the entry is gone or has changed"
    _log.debug("Run %s: %s of its slot is %s.", run_id, what, why)
    return done
