"""A run that is over never changes its status, whatever is asked of it at that very moment."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from dagster import DagsterEvent, DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.test_utils import create_run_for_test, instance_for_test

from run_isolation.dagster import run_record
from run_isolation.dagster.ends.stored_end import is_over
from run_isolation.dagster.launcher import RunIsolationLauncher
from run_isolation.slots.decision import Kind

ENDS = {
    DagsterEventType.RUN_SUCCESS: DagsterRunStatus.SUCCESS,
    DagsterEventType.RUN_FAILURE: DagsterRunStatus.FAILURE,
    DagsterEventType.RUN_CANCELED: DagsterRunStatus.CANCELED,
}


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with instance_for_test() as instance:
        yield instance


def end(instance: DagsterInstance, run: DagsterRun, event: DagsterEventType) -> None:
    """What the run's own process stores."""
    told = DagsterEvent(event_type_value=event.value, job_name=run.job_name, message="It ended.")
    instance.report_dagster_event(told, run.run_id)


def started(instance: DagsterInstance) -> DagsterRun:
    run: DagsterRun = create_run_for_test(instance, status=DagsterRunStatus.STARTED)
    return run


@pytest.mark.parametrize("event", ENDS)
def test_an_end_that_was_written_over_counts(
    instance: DagsterInstance, event: DagsterEventType
) -> None:
    run = started(instance)
    end(instance, run, event)
    ended_at = instance.get_run_records()[0].end_time
    instance.report_run_canceling(run)
    assert is_over(instance, run.run_id)
    record = instance.get_run_records()[0]
    assert record.dagster_run.status is ENDS[event]
    assert record.end_time == ended_at
    # Told once: what waits for the event has had it.
    assert len(instance.all_logs(run.run_id, of_type=event)) == 1


def test_a_run_that_goes_on_is_left_as_it_is(instance: DagsterInstance) -> None:
    run = started(instance)
    instance.report_run_canceling(run)
    assert not is_over(instance, run.run_id)
    stored = instance.get_run_by_id(run.run_id)
    assert stored is not None
    assert stored.status is DagsterRunStatus.CANCELING


@pytest.mark.parametrize("kind", Kind)
def test_a_cancel_in_the_moment_of_the_end_changes_nothing(
    instance: DagsterInstance, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = started(instance)
    run_record.write(instance, run, kind=kind, attempt=1)
    report = instance.report_run_canceling

    def too_late(run: DagsterRun, message: str | None = None) -> None:
        end(instance, run, DagsterEventType.RUN_SUCCESS)
        report(run, message)

    monkeypatch.setattr(instance, "report_run_canceling", too_late)
    launcher = RunIsolationLauncher()
    launcher.register_instance(instance)
    assert not launcher.terminate(run.run_id)
    stored = instance.get_run_by_id(run.run_id)
    assert stored is not None
    assert stored.status is DagsterRunStatus.SUCCESS
