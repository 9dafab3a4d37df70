"""Twins: the parts of slots, each with one guard removed. A proof that is one catches them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from run_isolation import Acquired, Denied, Disabled, Holder, Slots
from run_isolation.errors import StartRefusedError, TableUnreachableError
from run_isolation.server_identity import ServerIdentity
from run_isolation.slots.answers import answer_of
from run_isolation.slots.conditions import NOT_YET_A_HOLDER, OLDER_ATTEMPT_HOLDS
from run_isolation.slots.item import KEY, to_attribute
from run_isolation.slots.reconciler import Reconciler
from run_isolation.standing.hosting import Hosting
from run_isolation.table import answering
from tests.slots.parts import Parts


@dataclass(frozen=True)
class Twin:
    """What is different, in parts or in conditions.

    Attributes:
        parts: In place of the library's.
        conditions: By the names of the constants in `run_isolation.slots.conditions`.
        seed: With which the state machine catches it soon; with others it may take minutes.
    """

    parts: Parts = field(default_factory=Parts)
    conditions: Mapping[str, str] = field(default_factory=dict)
    seed: int = 1


class Remembers(Slots):
    """Reads the limit once in the life of a process."""

    _remembered: dict[str, int] = {}  # noqa: RUF012

    def acquire(self, holder: Holder) -> Acquired | Denied | Disabled:
        limit = self._remembered.setdefault(self.table, self.settings().limit)
        return _acquire(self, holder, f"{ANY} AND size(holders) < :limit", limit)


class KeepsTheLimit(Slots):
    """Leaves the limit where it is while the settings are changed."""

    def clear_limits(self) -> None:
        pass


class Counter(Slots):
    """Counts the slots in use beside the holders."""

    def acquire(self, holder: Holder) -> Acquired | Denied | Disabled:
        limit = self.settings().limit
        room = "((attribute_not_exists(used) AND :limit > :none) OR used < :limit)"
        return _acquire(self, holder, room, limit, " ADD used :one")

    def _change(
        self,
        update: str,
        condition: str,
        run_id: str,
        values: Mapping[str, Any],
        names: Mapping[str, str] | None = None,
    ) -> bool:
        if update.startswith("REMOVE"):
            update, values = f"{update} ADD used :less", {**values, ":less": {"N": "-1"}}
        return super()._change(update, condition, run_id, values, names)


class OwnEntryDenied(Slots):
    """Whoever is refused is told no, also by an entry of its own."""

    def acquire(self, holder: Holder) -> Acquired | Denied | Disabled:
        refusal = self._ask(holder)
        return Acquired(holder) if refusal is None else Denied(self.holders(), 1)


class NeverMends(Slots):
    """Leaves it at what an older release has left."""

    def acquire(self, holder: Holder) -> Acquired | Denied | Disabled:
        refusal = self._ask(holder)
        return Acquired(holder) if refusal is None else answer_of(holder, refusal, None)

    def mended_holders(self) -> tuple[Holder, ...]:
        return self.holders()


class SilenceIsNo(Slots):
    """No answer counts as a denial."""

    def acquire(self, holder: Holder) -> Acquired | Denied | Disabled:
        try:
            return super().acquire(holder)
        except TableUnreachableError:
            return Denied((), 0)


class RemovesUnseen(Slots):
    """Removes a holder whatever has become of it since it was read."""

    def remove(self, seen: Holder) -> bool:
        return self.release(seen.run_id, seen.attempt)


class StartsAnyway(Hosting[str]):
    """Starts a run whether or not it holds its slot."""

    def _sign(self, run_id: str, attempt: int) -> None:
        with suppress(StartRefusedError):
            super()._sign(run_id, attempt)


class BelievesStorage(Reconciler):
    """A run that has ended in storage, or was deleted there, has no process."""

    def _ask(
        self, hosted: Mapping[ServerIdentity, Sequence[Holder]]
    ) -> tuple[dict[Holder, str], dict[ServerIdentity, list[Holder]]]:
        over = self.runs.over([holder for theirs in hosted.values() for holder in theirs])
        gone, there = super()._ask(hosted)
        return gone | dict(over), there


class SilenceIsDeath(Reconciler):
    """A server that does not answer has no processes."""

    def _ask(
        self, hosted: Mapping[ServerIdentity, Sequence[Holder]]
    ) -> tuple[dict[Holder, str], dict[ServerIdentity, list[Holder]]]:
        silent = [theirs for server, theirs in hosted.items() if not self._answers(server)]
        return {holder: "silence" for theirs in silent for holder in theirs}, {}

    def _answers(self, server: ServerIdentity) -> bool:
        return self.servers.current_runs(server) is not None


def _acquire(
    slots: Slots, holder: Holder, condition: str, limit: int, more: str = ""
) -> Acquired | Denied | Disabled:
    """An acquire with a limit of the caller's."""
    values: dict[str, Any] = {":holder": to_attribute(holder), ":limit": {"N": str(limit)}}
    if more:
        values |= {":one": {"N": "1"}, ":none": {"N": "0"}}
    try:
        with answering("dynamodb:UpdateItem", slots.table):
            slots.client.update_item(
                TableName=slots.table,
                Key=KEY,
                UpdateExpression=f"SET holders.#run = :holder{more}",
                ConditionExpression=condition,
                ExpressionAttributeNames={"#run": holder.run_id},
                ExpressionAttributeValues=values,
            )
    except slots.client.exceptions.ConditionalCheckFailedException:
        return Denied(slots.holders(), limit) if limit else Disabled()
    return Acquired(holder)


ANY = "attribute_exists(holders)"
PARTS = Parts()
TWINS = {
    # DynamoDB insists that each name and value is used.
    "no count": Twin(conditions={"MAY_JOIN": f"{ANY} OR ({{room}}) OR {OLDER_ATTEMPT_HOLDS}"}),
    "one too many": Twin(conditions={"THERE_IS_ROOM": f"{ANY} AND size(holders) <= {{limit}}"}),
    "no count of a code location": Twin(
        conditions={
            "FEWER_TICKETS": "attribute_exists(#tickets) AND "
            "(size(#tickets) < {limit} OR size(#tickets) >= {limit})"
        }
    ),
    "one too many of a code location": Twin(
        conditions={"FEWER_TICKETS": "attribute_exists(#tickets) AND size(#tickets) <= {limit}"}
    ),
    "tickets that were left behind stay": Twin(replace(PARTS, slots=NeverMends), seed=15),
    "a counter": Twin(replace(PARTS, slots=Counter)),
    "a remembered limit": Twin(replace(PARTS, slots=Remembers)),
    "a limit that stays while settings change": Twin(replace(PARTS, slots=KeepsTheLimit), seed=21),
    "an own entry is a denial": Twin(replace(PARTS, slots=OwnEntryDenied), seed=3),
    "silence is a denial": Twin(replace(PARTS, slots=SilenceIsNo)),
    "release of any attempt": Twin(
        conditions={"IS_MINE": f"({ANY} AND :attempt = :attempt)"}, seed=6
    ),
    "a repeated acquire wipes out the server": Twin(
        conditions={
            "MAY_JOIN": f"({{room}} AND {NOT_YET_A_HOLDER}) OR holders.#run.attempt <= :attempt"
        },
        seed=6,
    ),
    "removal of what was not seen": Twin(replace(PARTS, slots=RemovesUnseen), seed=2),
    "a start without a slot": Twin(replace(PARTS, hosting=StartsAnyway), seed=2),
    "storage is believed": Twin(replace(PARTS, reconciler=BelievesStorage)),
    "a silent server is taken for dead": Twin(replace(PARTS, reconciler=SilenceIsDeath), seed=4),
    "no reconciler": Twin(replace(PARTS, reconcilers=0)),
}
