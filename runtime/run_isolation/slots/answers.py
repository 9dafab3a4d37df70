"""What whoever asks for a slot is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from run_isolation.errors import SupersededError
from run_isolation.slots.item import MAX_HOLDERS, Contents, Holder, location_limit


@dataclass(frozen=True)
class Acquired:
    """The run holds a slot, until it is released."""

    holder: Holder


@dataclass(frozen=True)
class Denied:
    """All slots are taken, or all that the run's code location may have."""

    holders: tuple[Holder, ...]
    """By whom, at the very moment of the denial; the longest first."""
    limit: int
    location: str | None = None
    """The code location whose own limit it is, and whose holders; None: the deployment's."""


@dataclass(frozen=True)
class Disabled:
    """The settings allow no run to go without its own task."""

    location: str | None = None
    """The code location of which none may; None: none at all."""


def answer_of(
    holder: Holder, item: Mapping[str, Any], cluster: str | None
) -> Acquired | Denied | Disabled:
    """What the item that refused a holder says to it.

    Where both limits are reached it is the code location's: only one of its own holders makes room.

    Raises:
        SupersededError: A newer attempt of the run is in it.
        HolderError: Some in it are malformed.
    """
    holders = Contents.read(item, cluster).sound()
    for other in holders:
        if other.run_id == holder.run_id and other.attempt > holder.attempt:
            raise SupersededError(holder.run_id, holder.attempt, newer_attempt=other.attempt)
        if other.run_id == holder.run_id:
            return Acquired(other)
    limit, own = int(item[MAX_HOLDERS]["N"]), location_limit(item, holder.location)
    if not limit:
        return Disabled()
    theirs = tuple(other for other in holders if other.location == holder.location)
    if own is None or len(theirs) < own:
        return Denied(holders, limit)
    return Denied(theirs, own, holder.location) if own else Disabled(holder.location)
