"""Which kind of run a run becomes, and why. Pure: it reads nothing and changes nothing.

Isolated is the default and the answer to every doubt. A run goes without its own task only where
somebody asked for it, the settings allow it, nothing stands against it and a slot is free.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from run_isolation import tag_names
from run_isolation.errors import TableError
from run_isolation.manifest import Size
from run_isolation.slots.item import Holder
from run_isolation.slots.settings import NonIsolatedRuns
from run_isolation.slots.slots import Denied, Disabled


class Kind(StrEnum):
    """The two kinds of run."""

    ISOLATED = "isolated"
    """In an ECS task of its own."""
    NON_ISOLATED = "non-isolated"
    """Inside the standing container of its code location."""


class LaunchedBy(StrEnum):
    """Who launched a run."""

    HAND = "hand"
    """A person, at the page or the command line."""
    SCHEDULE = "schedule"
    SENSOR = "sensor"
    BACKFILL = "backfill"
    AUTOMATION = "automation condition"
    RETRY = "retry"
    OTHER = "unknown"
    """Nobody that we know of. Never taken for a person."""


@dataclass(frozen=True)
class Request:
    """What is known of a run when it is submitted."""

    tags: Mapping[str, str]
    launched_by: LaunchedBy
    queue_limit: str | None = None
    """Which limit of Dagster's own queue applies to this run, such as ``tag limit team=a``."""
    out_of_memory: str | None = None
    """The run that this one executes again, where that was ended for want of memory."""


@dataclass(frozen=True)
class Decision:
    """What a run becomes."""

    kind: Kind
    reason: str
    """A sentence for the person who launched it."""


def decide(request: Request, settings: NonIsolatedRuns, standing: Size) -> Decision:
    """Decides as far as can be decided before a slot is taken.

    Args:
        request: The run.
        settings: The deployment's settings.
        standing: What the standing container of its code location has.

    Returns:
        The decision; a non-isolated one holds only once a slot is acquired.
    """
    objection = _objection(request, settings, standing)
    if objection:
        return Decision(Kind.ISOLATED, objection)
    return Decision(
        Kind.NON_ISOLATED,
        f"Asked for by tag {tag_names.ISOLATION}={tag_names.DISABLED}, and a slot was free.",
    )


def after_denial(denial: Denied | Disabled) -> Decision:
    """What becomes of a run that was denied a slot: isolated, and it says who holds them."""
    if isinstance(denial, Disabled):
        return Decision(
            Kind.ISOLATED,
            _DISABLED
            if denial.location is None
            else f"Code location {denial.location} may have no non-isolated runs: its "
            "max_concurrent_non_isolated_runs is 0.",
        )
    named = ", ".join(_named(holder) for holder in denial.holders[:_MOST_NAMED])
    more = len(denial.holders) - _MOST_NAMED
    others = f" and {more} more" if more > 0 else ""
    whose = (
        "No slot was free"
        if denial.location is None
        else f"No slot of code location {denial.location} was free"
    )
    return Decision(
        Kind.ISOLATED,
        f"{whose}: {len(denial.holders)} of {denial.limit} held, by {named}{others}.",
    )


def after_history(peak_mib: float | None, room_mib: float, standing: Size) -> Decision:
    """What becomes of a run whose job's recent runs do not fit into the standing container.

    Args:
        peak_mib: The most memory that any of them had, where that is known.
        room_mib: The most that one can have there.
        standing: What the standing container has.
    """
    needed = (
        "One of this job's recent runs was ended for want of memory"
        if peak_mib is None or peak_mib <= room_mib
        else f"This job's recent runs needed up to {peak_mib:.0f} MiB"
    )
    return Decision(
        Kind.ISOLATED,
        f"{needed}; in the standing container, which has {standing.memory} MiB, a run can have "
        f"{room_mib:.0f}.",
    )


def after_error(error: TableError) -> Decision:
    """What becomes of a run when nobody knows whether a slot is free: isolated, and it says so."""
    return Decision(Kind.ISOLATED, f"Whether a slot was free is not known. {error}")


_MOST_NAMED: Final = 3
_DISABLED: Final = "Non-isolated runs are disabled in this deployment's settings."


def _objection(request: Request, settings: NonIsolatedRuns, standing: Size) -> str | None:
    """Why the run can't go without its own task, or None."""
    asked = request.tags.get(tag_names.ISOLATION)
    if asked is None:
        return "Isolated is the default."
    if asked != tag_names.DISABLED:
        return (
            f"Tag {tag_names.ISOLATION} is {asked!r}; only {tag_names.DISABLED!r} asks for a run "
            "without its own task."
        )
    if not settings.enabled:
        return _DISABLED
    if request.out_of_memory is not None:
        return (
            f"Run {request.out_of_memory}, which it executes again, was ended because its standing "
            "container had no memory left."
        )
    if request.launched_by is not LaunchedBy.HAND and not settings.allow_automated:
        return (
            f"Launched by: {request.launched_by}. Only runs launched by hand may go without their "
            "own task, unless the deployment's settings say allow_automated."
        )
    if request.queue_limit is not None:
        return f"Dagster's queue limits this run ({request.queue_limit}), so it goes through it."
    return _too_much(request.tags, standing)


def _too_much(run_tags: Mapping[str, str], standing: Size) -> str | None:
    """Which tag asks for what the standing container hasn't got, or None."""
    has = {tag_names.ECS_CPU: standing.cpu, tag_names.ECS_MEMORY: standing.memory}
    for name in sorted(name for name in run_tags if name.startswith(tag_names.ECS_PREFIX)):
        value = run_tags[name]
        if name in _WRITTEN_BY_LAUNCHERS:
            continue
        if name not in has:
            return f"Tag {name} asks for something that only a task of its own can have."
        if not value.isdecimal():
            return f"Tag {name} is {value!r}, which is not a whole number."
        if int(value) > has[name]:
            return f"Tag {name} asks for {value}; the standing container has {has[name]}."
    return None


_WRITTEN_BY_LAUNCHERS: Final = {"ecs/task_arn", "ecs/cluster"}
"""Left on a run by EcsRunLauncher and inherited by its retries: they ask for nothing."""


def _named(holder: Holder) -> str:
    return f"run {holder.run_id} of {holder.location} since {holder.since}"
