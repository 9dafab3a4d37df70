"""Gives a run that has no task back to Dagster's queue."""

from __future__ import annotations

import logging

from dagster import DagsterEvent, DagsterInstance, DagsterRunStatus

from run_isolation.dagster import run_record

_log = logging.getLogger(__name__)


def to_queue(instance: DagsterInstance, run_id: str, attempt: int) -> None:
    """Makes a run QUEUED that waits for the task of an attempt, if it still does.

    Dagster stores the status that an event means over whatever the run has then. A launcher that
    stood still would make a run QUEUED that another one has launched, and that has ended, so that
    it is executed again: the run is read once more, as the last thing before.

    Args:
        instance: Where the run is stored.
        run_id: The run.
        attempt: Which attempt it waits for.
    """
    run = instance.get_run_by_id(run_id)
    if run is None or run.status is not DagsterRunStatus.STARTING:
        _log.debug("Run %s does not go back to the queue: it is not starting any more.", run_id)
        return
    ours = run_record.read(run)
    if ours.attempt != attempt or ours.task_arn is not None:
        _log.debug("Run %s does not go back to the queue: it has gone further.", run_id)
        return
    instance.report_dagster_event(DagsterEvent.job_enqueue(run), run_id=run_id)
