"""The one item of the slot table that has all slots in it, and how a holder is written there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from run_isolation.server_identity import ServerIdentity
from run_isolation.table import HASH_KEY, SLOTS_KEY

KEY: Final[Any] = {HASH_KEY: {"S": SLOTS_KEY}}
MAX_HOLDERS: Final = "max_holders"
"""How many may hold a slot. Not there while ``pulumi up`` changes the settings."""
HOLDERS: Final = "holders"
"""A map, by run id."""


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


def is_complete(item: Mapping[str, Any]) -> bool:
    """Whether the item alone says who may have a slot."""
    return MAX_HOLDERS in item and HOLDERS in item


def read_holders(item: Mapping[str, Any]) -> tuple[Holder, ...]:
    """The holders in it, the longest first."""
    entries = item.get(HOLDERS, {"M": {}})["M"]
    holders = (_from_attribute(run_id, value) for run_id, value in entries.items())
    return tuple(sorted(holders, key=lambda holder: (holder.since, holder.run_id)))


def to_attribute(holder: Holder) -> Any:
    """A holder that nobody hosts yet, in AttributeValue JSON."""
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
