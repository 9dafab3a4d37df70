"""Tasks that no run needs end, and canceled runs with them; tasks that are needed stay."""

from __future__ import annotations

import logging

import pytest
from dagster import DagsterEvent, DagsterEventType, DagsterRun, DagsterRunStatus

from run_isolation import claim, launch_isolated, tag_names
from run_isolation.dagster import run_record
from run_isolation.isolated.orphans import ENDING_SECONDS, TEARDOWN_SECONDS
from run_isolation.isolated.run_task import IsolatedLaunch
from run_isolation.isolated.waiting_runs import LAUNCH_SECONDS
from run_isolation.slots.decision import Kind
from tests.runtime.dagster.account import LOCATION, Stack
from tests.runtime.dagster.launches import Launches
from tests.runtime.dagster.watched import Watched
from tests.waiting import eventually


@pytest.fixture
def watched(launches: Launches, caplog: pytest.LogCaptureFixture) -> Watched:
    caplog.set_level(logging.INFO, logger="test")
    return Watched(launches.instance)


def launched(stack: Stack, run: DagsterRun, attempt: int = 1) -> str:
    """A task of a run that nobody notes. It goes on until it is stopped."""
    sleeping = stack.register("isolated", ["sleep", "60"])
    launch = IsolatedLaunch(run.run_id, attempt, LOCATION, sleeping)
    return launch_isolated(stack.ecs, stack.manifest, launch)


def note(launches: Launches, run: DagsterRun, attempt: int, task_arn: str = "") -> DagsterRun:
    run_record.write(launches.instance, run, kind=Kind.ISOLATED, attempt=attempt, task_arn=task_arn)
    return launches.read(run)


def live(stack: Stack, task_arn: str) -> bool:
    return bool(stack.describe(task_arn)["desiredStatus"] == "RUNNING")


def test_without_isolated_tasks_storage_is_not_asked(
    watched: Watched, launches: Launches, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    eventually(lambda: not stack.isolated_tasks("RUNNING"))
    stack.account.forget()
    monkeypatch.setattr(type(launches.instance), "get_run_records", None)
    assert watched.sweep() == []
    # The standing container is not ours to judge.
    assert stack.account.calls() == ["GetParameter", "ListTasks", "DescribeTasks"]


def test_a_task_that_is_not_on_record_is_adopted(
    watched: Watched, launches: Launches, stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    run = note(launches, launches.starting(launches.create()), attempt=1)
    task_arn = launched(stack, run)
    assert watched.sweep() == []
    assert run_record.read(launches.read(run)).task_arn == task_arn
    assert live(stack, task_arn)
    assert any(task_arn in text for text in launches.events(run))
    assert f"{task_arn}, attempt 1, is adopted by run {run.run_id}" in caplog.text
    stack.stop(task_arn)


@pytest.mark.parametrize(
    ("end", "why"),
    [
        ("start timeout", "has ended (FAILURE)"),
        ("canceled", "has ended (CANCELED)"),
        ("deleted", "was deleted"),
        ("superseded", "goes on in task arn:other, attempt 2"),
    ],
)
def test_the_task_of_a_run_that_does_not_need_it_is_stopped(
    watched: Watched,
    launches: Launches,
    stack: Stack,
    caplog: pytest.LogCaptureFixture,
    end: str,
    why: str,
) -> None:
    note(launches, launches.starting(launches.create()), attempt=1)
    run = note(launches, launches.starting(launches.create()), attempt=1)
    task_arn = launched(stack, run)
    run = note(launches, run, attempt=1, task_arn=task_arn)
    if end == "start timeout":
        launches.instance.report_run_failed(run, "Run timed out")
    elif end == "canceled":
        launches.instance.report_run_canceled(run)
    elif end == "deleted":
        launches.instance.delete_run(run.run_id)
    else:
        note(launches, run, attempt=2, task_arn="arn:other")
    assert watched.sweep() == []
    stack.wait_for_stopped(task_arn)
    assert stack.describe(task_arn)["stoppedReason"] == f"Orphan: run {run.run_id} {why}."
    assert f"{task_arn}, attempt 1, is stopped: run {run.run_id} {why}." in caplog.text


def test_the_task_that_has_claimed_its_run_is_not_stopped_for_a_newer_launch(
    watched: Watched, launches: Launches, stack: Stack
) -> None:
    run = launches.started(launches.create())
    task_arn = launched(stack, run)
    claim(stack.slots.client, stack.slots.table, run.run_id, 1, task_arn)
    note(launches, run, attempt=2, task_arn="arn:other")
    assert watched.sweep() == []
    assert live(stack, task_arn)
    claim(stack.slots.client, stack.slots.table, run.run_id, 2, "arn:other")
    assert watched.sweep() == []
    assert not live(stack, task_arn)


def test_a_worker_has_time_to_end(watched: Watched, launches: Launches, stack: Stack) -> None:
    run = launches.started(launches.create())
    task_arn = launched(stack, run)
    launches.instance.report_run_failed(note(launches, run, attempt=1, task_arn=task_arn))
    for seconds in (0, ENDING_SECONDS - 1):
        assert watched.sweep(seconds) == []
        assert live(stack, task_arn)
    assert watched.sweep(1) == []
    assert not live(stack, task_arn)


def test_a_worker_has_time_to_tear_down_what_its_run_needed(
    watched: Watched, launches: Launches, stack: Stack
) -> None:
    """After the last event, which its own process has stored."""
    run = launches.started(launches.create())
    task_arn = launched(stack, run)
    note(launches, run, attempt=1, task_arn=task_arn)
    success = DagsterEvent(DagsterEventType.RUN_SUCCESS.value, job_name=run.job_name, pid=4711)
    launches.instance.report_dagster_event(success, run_id=run.run_id)
    for seconds in (0, TEARDOWN_SECONDS - 1):
        assert watched.sweep(seconds) == []
        assert live(stack, task_arn)
    assert watched.sweep(1) == []
    assert not live(stack, task_arn)


def test_the_task_of_a_run_that_goes_on_is_left_alone(
    watched: Watched, launches: Launches, stack: Stack
) -> None:
    run = launches.started(launches.create())
    task_arn = launched(stack, run)
    note(launches, run, attempt=1, task_arn=task_arn)
    assert watched.sweep() == watched.sweep(100_000) == []
    assert live(stack, task_arn)
    stack.stop(task_arn)


def test_the_task_of_a_run_of_a_later_version_is_left_alone(
    watched: Watched, launches: Launches, stack: Stack
) -> None:
    run = launches.started(launches.create())
    task_arn = launched(stack, run)
    note(launches, run, attempt=2, task_arn="arn:other")
    launches.instance.add_run_tags(run.run_id, {tag_names.KIND: "delegated"})
    launches.instance.report_run_failed(launches.read(run))
    assert watched.sweep() == watched.sweep(100_000) == []
    assert live(stack, task_arn)
    stack.stop(task_arn)


def test_a_database_without_any_isolated_run_is_not_believed(
    watched: Watched, launches: Launches, stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    run = launches.create()
    task_arn = launched(stack, run)
    launches.instance.delete_run(run.run_id)
    assert watched.sweep() == []
    assert live(stack, task_arn)
    assert "has no isolated run at all" in caplog.text
    stack.stop(task_arn)


def test_while_storage_does_not_answer_nothing_is_done(
    watched: Watched, launches: Launches, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = launches.starting(launches.create())
    task_arn = launched(stack, run)
    launches.instance.report_run_failed(run)

    def refuse(*args: object) -> None:
        raise ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(type(launches.instance), "get_run_records", refuse)
        with pytest.raises(ConnectionError):
            watched.sweep()
    assert live(stack, task_arn)
    assert watched.sweep() == []
    assert not live(stack, task_arn)


def test_a_canceled_run_without_a_task_ends(
    watched: Watched, launches: Launches, stack: Stack
) -> None:
    run = launches.starting(launches.create())
    assert launches.instance.run_launcher.terminate(run.run_id)
    assert watched.watch() == watched.watch(LAUNCH_SECONDS - 1) == []
    assert launches.read(run).status is DagsterRunStatus.CANCELING
    assert watched.watch(1) == []
    assert launches.read(run).status is DagsterRunStatus.CANCELED


def test_a_canceled_run_ends_with_the_task_that_nobody_noted(
    watched: Watched, launches: Launches, stack: Stack
) -> None:
    run = launches.starting(launches.create())
    task_arn = launched(stack, run)
    assert launches.instance.run_launcher.terminate(run.run_id)
    assert watched.watch() == watched.watch(LAUNCH_SECONDS) == []
    stack.wait_for_stopped(task_arn)
    assert launches.read(run).status is DagsterRunStatus.CANCELING
    assert watched.watch(LAUNCH_SECONDS) == []
    assert launches.read(run).status is DagsterRunStatus.CANCELED


def test_a_cancel_that_ecs_did_not_hear_is_repeated(
    watched: Watched, launches: Launches, stack: Stack
) -> None:
    run = launches.starting(launches.create())
    task_arn = launched(stack, run)
    note(launches, run, attempt=1, task_arn=task_arn)
    stack.account.fault("error", operation="StopTask", code="AccessDeniedException")
    assert launches.instance.run_launcher.terminate(run.run_id)
    assert live(stack, task_arn)
    assert watched.watch() == []
    stack.wait_for_stopped(task_arn)
    assert watched.watch() == []
    assert launches.read(run).status is DagsterRunStatus.CANCELED
