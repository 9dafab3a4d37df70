"""What a job's recent runs tell about its next one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Final

from dagster import AssetKey, DagsterInstance, DagsterRunStatus, RunsFilter
from dagster._core.storage.dagster_run import RunRecord
from pydantic import BaseModel

from run_isolation import tag_names
from run_isolation.dagster import run_record
from run_isolation.manifest import Size
from run_isolation.slots.decision import Kind
from run_isolation.standing.container_memory import MIB, reserve

MOST_RUNS: Final = 5
_LOOKED_AT: Final = 50
"""Among so many of the job's newest runs its last MOST_RUNS are looked for: other code locations
may have a job of the same name, and all materializations of assets share one."""

SERVER_MIB: Final = 192
"""What the standing container's own processes have: ``idle_server_mib`` of
bench/results/warm_start.json, and half as much again for what sensors and schedules take."""


class History(BaseModel):
    """Of the last runs that have ended. What nobody has recorded is None."""

    runs: int
    seconds: float | None = None
    """How long they took, the median."""
    peak_mib: float | None = None
    """The most memory that any of them had."""
    fits: bool | None = None
    """Whether as much is there in the standing container, and none was ended for want of it."""
    shared_start_seconds: float | None = None
    """How long the non-isolated ones took to start, the median."""


def read_history(
    instance: DagsterInstance,
    location: str,
    job: str,
    assets: Iterable[AssetKey],
    standing: Size,
) -> History:
    """Reads the last runs of a job, or of one selection of assets.

    Args:
        instance: Where runs are stored.
        location: The code location.
        job: The job's name.
        assets: The assets; none for a job that has none.
        standing: What the location's standing container has.
    """
    selection = frozenset(assets) or None
    ended = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE]
    newest = instance.get_run_records(RunsFilter(job_name=job, statuses=ended), limit=_LOOKED_AT)
    alike = [
        record
        for record in newest
        if (origin := record.dagster_run.remote_job_origin) is not None
        and origin.location_name == location
        and (record.dagster_run.asset_selection or None) == selection
    ]
    return summarize(alike[:MOST_RUNS], standing)


def summarize(records: Sequence[RunRecord], standing: Size) -> History:
    """The history of these runs."""
    times = [r.end_time - r.start_time for r in records if r.start_time and r.end_time]
    # A re-execution has its parent's tags until its own are written.
    own = [
        r.dagster_run
        for r in records
        if r.dagster_run.tags.get(run_record.OWNER) == r.dagster_run.run_id
    ]
    peaks = [peak for run in own if (peak := _number(run.tags.get(tag_names.PEAK_MIB))) is not None]
    starts = [
        start
        for run in own
        if run.tags.get(tag_names.KIND) == Kind.NON_ISOLATED
        and (start := _number(run.tags.get(tag_names.START_LATENCY_SECONDS))) is not None
    ]
    peak = max(peaks, default=None)
    ended = any(run.tags.get(tag_names.OUT_OF_MEMORY) == "true" for run in own)
    return History(
        runs=len(records),
        seconds=median(times) if times else None,
        peak_mib=peak,
        fits=False if ended else None if peak is None else peak <= room_mib(standing),
        shared_start_seconds=median(starts) if starts else None,
    )


def room_mib(standing: Size) -> float:
    """The most memory that a run can have in a standing container, in MiB."""
    return standing.memory - SERVER_MIB - reserve(standing.memory * MIB) / MIB


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None
