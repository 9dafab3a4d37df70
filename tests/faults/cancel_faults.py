"""A cancel, in each state that a run can be in. What the page's Terminate does."""

from __future__ import annotations

from dagster import DagsterRun

from tests.faults.stage import Seen, Stage
from tests.runtime.dagster.launches import NON_ISOLATED


def cancel_queued(stage: Stage) -> Seen:
    """While the run waits in the queue."""
    with stage.daemon_paused():
        run = stage.submit()
        _cancel(stage, run)
    return stage.look(run)


def cancel_during_run_task(stage: Stage) -> Seen:
    """While RunTask is on its way."""
    stage.account.fault("delay", operation="RunTask", seconds=4)
    run = stage.submit()
    stage.wait_for_call("RunTask")
    _cancel(stage, run)
    return stage.look(run)


def cancel_before_start(stage: Stage) -> Seen:
    """While the task is in PROVISIONING."""
    stage.account.fault("slow_task", seconds=6)
    run = stage.submit()
    stage.wait_for_event(run, "(?i)ECS task")
    _cancel(stage, run)
    return stage.look(run)


def cancel_started(stage: Stage) -> Seen:
    """While the run's code goes on."""
    run = stage.submit(held=True)
    stage.wait_for_code()
    _cancel(stage, run)
    return stage.look(run)


def cancel_in_standing_container(stage: Stage) -> Seen:
    """While the run's code goes on in the standing container."""
    run = stage.submit(held=True, tags=NON_ISOLATED)
    stage.wait_for_code()
    _cancel(stage, run)
    return stage.look(run)


def _cancel(stage: Stage, run: DagsterRun) -> None:
    stage.contender.instance.run_coordinator.cancel_run(run.run_id)
