"""Which holders of slots are over, as Dagster's storage tells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter

from run_isolation.dagster import run_tags
from run_isolation.policy import Kind
from run_isolation.slots import Holder


def stored_runs(instance: DagsterInstance, holders: Iterable[Holder]) -> dict[str, DagsterRun]:
    """The holders' runs, in one query; deleted ones are missing."""
    run_ids = [holder.run_id for holder in holders]
    if not run_ids:
        return {}
    return {run.run_id: run for run in instance.get_runs(RunsFilter(run_ids=run_ids))}


def why_over(holder: Holder, runs: Mapping[str, DagsterRun]) -> str | None:
    """Why a holder needs its slot no longer, or None while it may.

    Args:
        holder: Read before the runs were: a run is stored before it asks for a slot.
        runs: Of ``stored_runs``.
    """
    run = runs.get(holder.run_id)
    if run is None:
        return "the run was deleted"
    if run.is_finished:
        return f"the run has ended ({run.status.value})"
    if run.status in (DagsterRunStatus.QUEUED, DagsterRunStatus.SUSPENDED):
        return f"the run is {run.status.value} and has no process"
    if run_tags.read(run).kind is Kind.ISOLATED:
        return "the run became isolated"
    return None
