"""The end of a run as its events tell it: a run that is over never changes its status.

Runs in: server; webserver and daemon, too.

Dagster stores "canceling" over whatever status the run has by then, and we store "canceled" over
that. A run may end in the moment between a look at its status and the word that follows from it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from dagster import DagsterEventType, DagsterInstance

_ENDS: Final = {
    DagsterEventType.RUN_CANCELED,
    DagsterEventType.RUN_FAILURE,
    DagsterEventType.RUN_SUCCESS,
}


def is_over(instance: DagsterInstance, run_id: str) -> bool:
    """Whether a run has ended. Its status says so then, whoever has written over it.

    Ask it after the status was set to CANCELING, and before it is set to CANCELED where the run's
    process is gone: nothing can end the run in between.
    """
    ends = instance.get_records_for_run(run_id, of_type=_ENDS, limit=1, ascending=False).records
    if not ends:
        return False
    run = instance.get_run_by_id(run_id)
    if run is not None and not run.is_finished:
        # The status alone: the event is there, and sensors have seen it.
        entry = ends[0].event_log_entry
        ended_at = datetime.fromtimestamp(entry.timestamp, UTC)
        instance.run_storage.handle_run_event(run_id, entry.get_dagster_event(), ended_at)
    return True


def was_its_own(instance: DagsterInstance, run_id: str) -> bool:
    """Whether the run's own process has stored the end of a run that is over.

    Dagster notes the process by the events that it stores while it executes a run. What monitors,
    launchers and people report has none (dagster/_core/events, ``DagsterEvent.pid``). Of an end
    without an event nothing is known, so it may be.
    """
    ends = instance.get_records_for_run(run_id, of_type=_ENDS, limit=1, ascending=False).records
    return not ends or ends[0].event_log_entry.get_dagster_event().pid is not None
