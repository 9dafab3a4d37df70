"""What we know about a run, kept as tags on it.

Dagster copies all tags of a run to its retries and re-executions. Ours carry the id of the run that
they were written for, so that inherited ones are never mistaken for the run's own: a cancel must
not stop the task of another run.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from run_isolation import tag_names
from run_isolation.errors import RunIsolationError
from run_isolation.instance import VERSION
from run_isolation.isolated.retries import Wait
from run_isolation.slots.decision import Kind

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun

OWNER: Final = ".dagster/run_isolation_run_id"
"""The run that the others were written for. Dagster's page hides tags below ``.dagster/``."""

_MEASURED: Final = (
    tag_names.PEAK_MIB,
    tag_names.CPU_SECONDS,
    tag_names.START_LATENCY_SECONDS,
    tag_names.OUT_OF_MEMORY,
    tag_names.AGAIN,
)
"""Written when a run is over, so that a run that begins has none of its own."""

FIRST_ATTEMPT: Final = 1
"""A run is non-isolated in its first attempt or never: whatever follows is isolated."""

_log: Final = logging.getLogger(__name__)
_of_later_versions: Final[set[str]] = set()
"""Runs of which the log says it."""


class UnknownKindError(RunIsolationError):
    """The run became something that this version does not know. Leave it alone."""


@dataclass(frozen=True)
class RunTags:
    """The run's own values; inherited ones are absent."""

    kind: Kind | None = None
    attempt: int = 0
    """The launch in charge, counted from 1; 0 where nobody has decided about the run."""
    task_arn: str | None = None
    address: str | None = None
    wait: Wait | None = None
    """Where its launch is to be made again: nobody is at it now."""


def read(run: DagsterRun) -> RunTags:
    """Reads the run's own values.

    Raises:
        UnknownKindError: A later version has written them.
    """
    if run.tags.get(OWNER) != run.run_id:
        return RunTags()
    return RunTags(
        kind=_kind(run),
        attempt=int(run.tags.get(tag_names.ATTEMPT) or 0),
        task_arn=run.tags.get(tag_names.TASK_ARN) or None,
        address=run.tags.get(tag_names.ADDRESS) or None,
        wait=Wait.of_tag(run.tags.get(tag_names.WAIT, "")),
    )


def is_known(run: DagsterRun) -> bool:
    """Whether this version can read the run; where it can't, the log says so once.

    For whoever reads many: one run of a later version is not the others' trouble.
    """
    try:
        read(run)
    except UnknownKindError as error:
        if run.run_id not in _of_later_versions:
            _of_later_versions.add(run.run_id)
            _log.warning("%s Until then it is left alone.", error)
        return False
    return True


def _kind(run: DagsterRun) -> Kind | None:
    kind = run.tags.get(tag_names.KIND)
    if kind and kind not in tuple(Kind):
        raise UnknownKindError(
            f"Run {run.run_id}: its tag {tag_names.KIND} is {kind!r}; this version knows "
            f"{' and '.join(Kind)}. Use the release of run-isolation that launched the run, or "
            "let it end first."
        )
    return Kind(kind) if kind else None


def out_of_memory_before(run: DagsterRun) -> str | None:
    """The run that this one executes again, where that was ended for want of memory."""
    before = run.tags.get(OWNER)
    if before in (None, run.run_id) or run.tags.get(tag_names.OUT_OF_MEMORY) != "true":
        return None
    return before


def used_instance() -> dict[str, str]:
    """The tag with the version of the instance that this process uses, if it has one of ours."""
    version = os.environ.get(VERSION)
    return {tag_names.INSTANCE: version} if version else {}


def write(
    instance: DagsterInstance,
    run: DagsterRun,
    *,
    kind: Kind | None = None,
    reason: str | None = None,
    attempt: int | None = None,
    task_arn: str | None = None,
    address: str | None = None,
    expected_mib: float | None = None,
    instance_version: str | None = None,
    wait: Wait | Literal[""] | None = None,
) -> None:
    """Writes the given values in one call to the storage, and blanks what was inherited.

    Args:
        instance: Where the run is stored.
        run: The run as it was read last; its tags are not changed in place.
        kind: What the run became.
        reason: Why, as a sentence.
        attempt: The launch in charge.
        task_arn: The task that executes the run; empty while it is not known.
        address: ``ip:port`` of the standing task; empty for isolated runs.
        expected_mib: The most memory that the job's recent runs had.
        instance_version: Of the deployment's Dagster instance; empty while it is not known.
        wait: When its launch is made again; empty where there is nothing to wait for.
    """
    given = {
        tag_names.KIND: kind,
        tag_names.REASON: reason,
        tag_names.ATTEMPT: attempt,
        tag_names.TASK_ARN: task_arn,
        tag_names.ADDRESS: address,
        tag_names.EXPECTED_MIB: None if expected_mib is None else f"{expected_mib:.0f}",
        tag_names.INSTANCE: instance_version,
        tag_names.WAIT: wait.to_tag() if wait else wait,
    }
    inherited = run.tags.get(OWNER) != run.run_id
    blank = {key: "" for key in (*given, *_MEASURED) if inherited}
    new = blank | {key: str(value) for key, value in given.items() if value is not None}
    # A tag that is not there needs no blank: the page shows it.
    new = {key: value for key, value in new.items() if value or run.tags.get(key)}
    owner = {OWNER: run.run_id} if inherited else {}
    instance.add_run_tags(run.run_id, owner | new)
