"""What is said on a run whose process has ended, where the process has not said it itself.

Runs in: server.
"""

from __future__ import annotations

from dagster import DagsterInstance, DagsterRunStatus
from dagster._core.instance.ref import InstanceRef
from dagster._grpc.server import DagsterApiServer
from dagster._utils import get_run_crash_explanation

from run_isolation.dagster.ends.stored_end import is_over
from run_isolation.dagster.memory.run_endings import Ended


def say_canceled(ended: Ended) -> None:
    """A run is canceled that somebody cancels, also where its process could not say so.

    An interrupt may strike a process before it has begun to watch for one. Dagster's servicer
    would call such a run failed, with no word of the cancel.
    """
    with DagsterInstance.from_ref(ended.instance) as instance:
        run = instance.get_run_by_id(ended.run_id)
        if run is None or run.status is not DagsterRunStatus.CANCELING:
            return
        if not is_over(instance, ended.run_id):
            why = "Its process ended before it could say so itself."
            instance.report_run_canceled(run, message=f"Canceled. {why}")


def say_crashed(ended: Ended) -> None:
    """Fails a run that has not ended, in Dagster's words (dagster/_grpc/server.py)."""
    with DagsterInstance.from_ref(ended.instance) as instance:
        run = instance.get_run_by_id(ended.run_id)
        if run is None or run.is_finished:
            return
        prefix = f"Run execution process for {run.run_id}"
        message = get_run_crash_explanation(prefix=prefix, exit_code=ended.exit_code or 0)
        instance.report_engine_event(message, run, cls=DagsterApiServer)
        instance.report_run_failed(run)


def needs_no_process(run_id: str, reference: InstanceRef) -> bool:
    """Whether a run is over, or was deleted."""
    with DagsterInstance.from_ref(reference) as instance:
        run = instance.get_run_by_id(run_id)
        return run is None or run.is_finished
