"""The one item of the slot table that has all slots in it, and how a holder is written there."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Self

from run_isolation.errors import HolderError
from run_isolation.server_identity import ServerIdentity
from run_isolation.table import HASH_KEY, SLOTS_KEY

KEY: Final[Any] = {HASH_KEY: {"S": SLOTS_KEY}}
MAX_HOLDERS: Final = "max_holders"
"""How many may hold a slot. Not there while ``pulumi up`` changes the settings."""
LOCATION_LIMITS: Final = "location_limits"
"""A map: how many of a code location may, where that has a limit of its own. As ``max_holders``."""
HOLDERS: Final = "holders"
"""A map, by run id."""
_TICKETS: Final = "in:"
_EXTENDED: Final = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)Z")
_BASIC: Final = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z")
"""ISO 8601 in its basic format, as the item has a time: a write costs by each character. Releases
before wrote the extended one."""


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


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


def tickets_of(location: str) -> str:
    """The attribute with the tickets of a code location's holders.

    Its own at the top, as DynamoDB's ADD and DELETE, which may be repeated, know no paths
    (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.UpdateExpressions.html),
    and as IAM tells attributes apart at the top only.
    """
    return f"{_TICKETS}{location}"


def ticket(run_id: str) -> str:
    """What stands for a run among the tickets of its code location: 48 bits in 8 characters.

    A run id has 36, and a write costs by the size of the whole item.
    """
    return base64.urlsafe_b64encode(hashlib.sha256(run_id.encode()).digest()[:6]).decode()


def to_attribute(holder: Holder) -> Any:
    """A holder that nobody hosts yet, in AttributeValue JSON."""
    return {
        "M": {
            "attempt": {"N": str(holder.attempt)},
            "location": {"S": holder.location},
            "since": {"S": _EXTENDED.sub(r"\1\2\3T\4\5\6Z", holder.since)},
        }
    }


def is_complete(item: Mapping[str, Any]) -> bool:
    """Whether the item alone says who may have a slot."""
    return MAX_HOLDERS in item and HOLDERS in item


def location_limit(item: Mapping[str, Any], location: str) -> int | None:
    """The code location's own limit in the item; None where it has none."""
    limits = item.get(LOCATION_LIMITS, {"M": {}})["M"]
    return int(limits[location]["N"]) if location in limits else None


@dataclass(frozen=True)
class Contents:
    """What the item says about holders. Standing roles write it, so anything may be in it."""

    holders: tuple[Holder, ...]
    """The longest first."""
    malformed: Mapping[str, str]
    """Entries that no process of ours has written, by run id, and what is wrong with them."""
    tickets: Mapping[str, Any]
    """By attribute, in AttributeValue JSON."""

    @classmethod
    def read(cls, item: Mapping[str, Any], cluster: str | None = None) -> Self:
        """Reads the item.

        Args:
            item: As DynamoDB gives it.
            cluster: ARN of the deployment's cluster, whose tasks alone can host a run. None:
                nobody asks the hosts that are named.

        Raises:
            HolderError: The holders are no map.
        """
        entries = item.get(HOLDERS, {"M": {}}).get("M")
        if entries is None:
            raise HolderError({HOLDERS: "it is no map; delete the attribute"})
        holders: list[Holder] = []
        malformed: dict[str, str] = {}
        for run_id, value in entries.items():
            try:
                holders.append(_from_attribute(run_id, value, cluster))
            except ValueError as error:
                malformed[run_id] = str(error)
        return cls(
            tuple(sorted(holders, key=lambda holder: (holder.since, holder.run_id))),
            malformed,
            {name: value for name, value in item.items() if name.startswith(_TICKETS)},
        )

    def sound(self) -> tuple[Holder, ...]:
        """The holders.

        Raises:
            HolderError: Some of them are malformed.
        """
        if self.malformed:
            raise HolderError(self.malformed)
        return self.holders

    def missed(self, location: str) -> bool:
        """Whether the code location has tickets of no holder: an older release left them."""
        there = self.tickets.get(tickets_of(location), {}).get("SS", [])
        return not {*there} <= self._due()[tickets_of(location)]

    def wrong_tickets(self) -> dict[str, Any]:
        """Attributes that differ from what the holders say, with what they say; None: nothing."""
        due = {name: {"SS": sorted(tickets)} for name, tickets in self._due().items()}
        there = {
            name: {"SS": sorted(value["SS"])} if "SS" in value else value
            for name, value in self.tickets.items()
        }
        names = due.keys() | there.keys()
        return {name: due.get(name) for name in sorted(names) if due.get(name) != there.get(name)}

    def _due(self) -> defaultdict[str, set[str]]:
        due: defaultdict[str, set[str]] = defaultdict(set)
        for holder in self.holders:
            due[tickets_of(holder.location)].add(ticket(holder.run_id))
        return due


def _from_attribute(run_id: str, value: Mapping[str, Any], cluster: str | None) -> Holder:
    """A holder.

    Raises:
        ValueError: It is none; with what is wrong.
    """
    entry = value.get("M", {})
    for name, kind in (("attempt", "N"), ("location", "S"), ("since", "S")):
        if kind not in entry.get(name, {}):
            raise ValueError(f"it has no {name}")
    attempt, server_id = entry["attempt"]["N"], entry.get("hosted_by")
    if not attempt.isdecimal():
        raise ValueError(f"its attempt is {attempt}")
    server = None
    if server_id is not None:
        server = ServerIdentity.from_server_id(str(server_id.get("S")))
        if server is None:
            raise ValueError(f"its hosted_by is {server_id}, not a task's ARN and address")
        if cluster is not None and not server.is_in(cluster):
            raise ValueError(f"its hosted_by is a task outside of {cluster}: {server.task_arn}")
    return Holder(
        run_id=run_id,
        attempt=int(attempt),
        location=entry["location"]["S"],
        since=_BASIC.sub(r"\1-\2-\3T\4:\5:\6Z", entry["since"]["S"]),
        hosted_by=server,
    )
