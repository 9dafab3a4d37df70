"""The watcher: no run waits for a task that will not come."""

from __future__ import annotations

from typing import Any

import pytest
from dagster import DagsterRun, DagsterRunStatus
from dagster._daemon.monitoring.run_monitoring import RESUME_RUN_LOG_MESSAGE

from run_isolation import Holder, claim, tag_names
from run_isolation.dagster import run_record
from run_isolation.dagster.watch.watcher import LAUNCHING_SECONDS
from run_isolation.isolated.retries import Wait
from run_isolation.isolated.waiting_runs import LAUNCH_SECONDS, MISSING_SECONDS, MOST_TASKS
from run_isolation.server_identity import ServerIdentity
from run_isolation.slots.decision import Kind
from run_isolation.slots.item import KEY
from run_isolation.start_run_timers import LOST_LAUNCHER_SECONDS
from tests.runtime.dagster.account import LOCATION, Stack
from tests.runtime.dagster.launches import Launches
from tests.runtime.dagster.watched import Watched

NO_TASK = "arn:aws:ecs:us-east-1:000000000000:task/run-isolation-test/none"
ENI = "Timeout waiting for network interface provisioning to complete."


@pytest.fixture
def watched(launches: Launches) -> Watched:
    return Watched(launches.instance)


def waiting_for(launches: Launches, task_arn: str) -> DagsterRun:
    """A run that is STARTING, with this task on record."""
    run = launches.starting(launches.create())
    run_record.write(launches.instance, run, kind=Kind.ISOLATED, attempt=1, task_arn=task_arn)
    return launches.read(run)


def task_of(run: DagsterRun) -> str:
    task_arn = run_record.read(run).task_arn
    assert task_arn is not None
    return task_arn


def test_without_waiting_runs_a_pass_makes_no_call(watched: Watched, stack: Stack) -> None:
    assert watched.watch() == []
    assert stack.account.calls() == []


def test_all_waiting_runs_are_one_call(watched: Watched, launches: Launches, stack: Stack) -> None:
    runs = [waiting_for(launches, NO_TASK + str(number)) for number in range(5)]
    stack.account.forget()
    assert watched.watch() == []
    [call] = stack.account.sent("DescribeTasks")
    assert set(call["tasks"]) == {task_of(run) for run in runs}
    assert {launches.read(run).status for run in runs} == {DagsterRunStatus.STARTING}


def test_a_task_that_ecs_lost_is_followed_by_another(
    watched: Watched, launches: Launches, stack: Stack
) -> None:
    stack.account.fault("dead_task", reason=ENI)
    run = launches.dequeue(launches.create())
    stack.wait_for_stopped(task_of(run))
    assert watched.watch() == []
    assert launches.ended(run).status is DagsterRunStatus.SUCCESS
    assert run_record.read(launches.read(run)).attempt == 2
    assert len(stack.tasks_of(run.run_id)) == 2
    [event] = [text for text in launches.events(run) if text.startswith("Lost before")]
    assert "Attempt 2 follows." in event
    assert ENI.rstrip(".") in event


def test_tasks_that_are_lost_again_and_again_fail_the_run(
    watched: Watched, launches: Launches, stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="run_isolation")
    stack.account.fault("dead_task", reason=ENI, times=None)
    run = launches.dequeue(launches.create())
    for _ in range(MOST_TASKS):
        stack.wait_for_stopped(task_of(launches.read(run)))
        assert watched.watch() == []
    assert launches.read(run).status is DagsterRunStatus.FAILURE
    assert "the last of 3 tasks" in launches.failure(run)
    assert ENI.rstrip(".") in launches.failure(run)
    assert len(stack.tasks_of(run.run_id)) == MOST_TASKS
    steps = [text for text in caplog.messages if text.startswith(f"Run {run.run_id}, STARTING")]
    assert [text.rpartition(": ")[2] for text in steps] == [
        *["launch another task."] * (MOST_TASKS - 1),
        "fail the run.",
    ]


@pytest.mark.parametrize("hide_containers", [False, True])
def test_a_task_that_can_not_start_fails_the_run_at_once(
    watched: Watched, launches: Launches, stack: Stack, hide_containers: bool
) -> None:
    reason = "CannotPullContainerError: failed to resolve ref sales:8: not found"
    stack.account.fault("dead_task", reason=reason, hide_containers=hide_containers, times=None)
    run = launches.dequeue(launches.create())
    stack.wait_for_stopped(task_of(run))
    assert watched.watch() == []
    assert launches.read(run).status is DagsterRunStatus.FAILURE
    said = launches.failure(run)
    assert f"TaskFailedToStart, {reason}" in said
    assert f"Check run-isolation:codeLocations.{LOCATION}.image" in said
    assert "It has written nothing." in said
    assert len(stack.tasks_of(run.run_id)) == 1


def test_a_container_that_ends_before_the_run_begins_fails_it_with_its_last_words(
    watched: Watched, launches: Launches, stack: Stack
) -> None:
    run = waiting_for(launches, stack.dead("sh", "-c", "echo last words; exit 7"))
    assert watched.watch() == []
    assert launches.read(run).status is DagsterRunStatus.FAILURE
    said = launches.failure(run)
    assert "EssentialContainerExited" in said
    assert "exit code 7" in said
    assert "last words" in said
    assert "https://us-east-1.console.aws.amazon.com/cloudwatch/" in said


def test_exit_code_0_without_a_run_is_no_success(
    watched: Watched, launches: Launches, stack: Stack
) -> None:
    run = waiting_for(launches, stack.dead("true"))
    assert watched.watch() == []
    assert launches.read(run).status is DagsterRunStatus.FAILURE
    assert "Exit code 0 is no success" in launches.failure(run)


def test_a_task_that_ecs_does_not_show_has_time(
    watched: Watched, launches: Launches, stack: Stack
) -> None:
    run = waiting_for(launches, NO_TASK)
    for seconds in (0, MISSING_SECONDS - 1):
        assert watched.watch(seconds) == []
        assert launches.read(run).status is DagsterRunStatus.STARTING
    assert stack.tasks_of(run.run_id) == []
    assert watched.watch(1) == []
    assert launches.ended(run).status is DagsterRunStatus.SUCCESS
    assert run_record.read(launches.read(run)).attempt == 2


def test_a_run_that_has_begun_meanwhile_is_left_alone(
    watched: Watched, launches: Launches, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = stack.dead("false")
    run = waiting_for(launches, dead)
    tasks = watched.watcher._tasks

    def begin_and_describe(runs: list[DagsterRun]) -> object:
        launches.started(run)
        return tasks(runs)

    monkeypatch.setattr(watched.watcher, "_tasks", begin_and_describe)
    assert watched.watch() == []
    assert launches.read(run).status is DagsterRunStatus.STARTED


def test_the_task_that_has_claimed_the_run_is_the_runs(
    watched: Watched, launches: Launches, stack: Stack
) -> None:
    """ECS forgot the token: of two tasks of one attempt, the one on record lost, and has gone."""
    run = waiting_for(launches, stack.dead("false"))
    claim(stack.slots.client, stack.slots.table, run.run_id, 1, NO_TASK)
    assert watched.watch() == []
    assert launches.read(run).status is DagsterRunStatus.STARTING
    assert task_of(launches.read(run)) == NO_TASK
    assert any("it has claimed the run" in text for text in launches.events(run))


def test_while_the_table_does_not_answer_nothing_is_decided(
    watched: Watched, launches: Launches, stack: Stack
) -> None:
    run = waiting_for(launches, stack.dead("false"))
    stack.account.fault("error", service="dynamodb", operation="GetItem", code="AccessDenied")
    assert len(watched.watch()) == 1
    assert launches.read(run).status is DagsterRunStatus.STARTING
    assert watched.watch() == []
    assert launches.read(run).status is DagsterRunStatus.FAILURE


def test_trouble_with_one_run_is_not_the_others(
    watched: Watched, launches: Launches, stack: Stack
) -> None:
    dead = stack.dead("false")
    runs = [waiting_for(launches, dead) for _ in range(3)]
    stack.account.fault(
        "error",
        service="dynamodb",
        operation="GetItem",
        code="AccessDenied",
        times=None,
        where={"Key.pk.S": runs[1].run_id},
    )
    assert len(watched.watch()) == 1
    assert [launches.read(run).status.value for run in runs] == ["FAILURE", "STARTING", "FAILURE"]


def test_a_run_of_a_later_version_is_left_alone_and_spoken_of_once(
    watched: Watched, launches: Launches, stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    later, other = waiting_for(launches, NO_TASK + "1"), waiting_for(launches, NO_TASK)
    launches.instance.add_run_tags(later.run_id, {tag_names.KIND: "delegated"})
    for seconds in (0, MISSING_SECONDS + 1):
        assert watched.watch(after=seconds) == []
    assert launches.read(later).status is DagsterRunStatus.STARTING
    assert task_of(launches.read(other)) != NO_TASK
    assert len([text for text in caplog.messages if later.run_id in text]) == 1


def test_a_run_that_may_have_a_task_is_looked_after_when_its_time_has_come(
    watched: Watched, launches: Launches, stack: Stack
) -> None:
    """Its launcher is at work no more, and says so: nobody waits until it must be dead."""
    stack.account.fault("lost_request", operation="RunTask", times=2)
    run = launches.dequeue(launches.create())
    assert launches.read(run).status is DagsterRunStatus.STARTING
    wait = run_record.read(run).wait
    assert wait is not None
    watched.epoch = wait.until - 1
    assert watched.watch() == []
    assert stack.tasks_of(run.run_id) == []
    watched.epoch = wait.until
    assert watched.watch() == []
    assert launches.ended(run).status is DagsterRunStatus.SUCCESS


def test_a_canceled_run_that_waits_ends_at_once(
    watched: Watched, launches: Launches, stack: Stack
) -> None:
    stack.account.fault("lost_request", operation="RunTask", times=2)
    run = launches.dequeue(launches.create())
    launches.instance.run_launcher.terminate(run.run_id)
    assert watched.watch() == []
    assert launches.read(run).status is DagsterRunStatus.CANCELED


def test_what_can_not_be_launched_fails_at_once_and_says_why(
    watched: Watched, launches: Launches, stack: Stack
) -> None:
    run = launches.starting(launches.create())
    stack.account.fault(
        "error", operation="RunTask", code="InvalidParameterException", message="No such size."
    )
    assert watched.watch() == watched.watch(LAUNCH_SECONDS) == []
    assert launches.read(run).status is DagsterRunStatus.FAILURE
    assert "No such size." in launches.failure(run)


def test_a_resumed_run_whose_launcher_died_goes_on(
    watched: Watched, launches: Launches, stack: Stack
) -> None:
    run = waiting_for(launches, NO_TASK)
    launches.started(run)
    launches.instance.report_engine_event(RESUME_RUN_LOG_MESSAGE, run)
    run_record.write(launches.instance, run, attempt=2, task_arn="")
    assert watched.watch() == watched.watch(LAUNCH_SECONDS) == []
    assert len(stack.tasks_of(run.run_id)) == 1
    assert run_record.read(launches.read(run)).attempt == 2
    launches.ended(run)


@pytest.mark.parametrize("hosted", [True, False])
def test_a_non_isolated_run_that_no_server_has_goes_on(
    watched: Watched, launches: Launches, stack: Stack, hosted: bool
) -> None:
    run = launches.starting(launches.create())
    run_record.write(
        launches.instance, run, kind=Kind.NON_ISOLATED, attempt=1, task_arn=NO_TASK, address="a:1"
    )
    stack.slots.acquire(Holder(run.run_id, 1, LOCATION))
    if hosted:
        stack.slots.host(run.run_id, 1, ServerIdentity(NO_TASK, "a:1"))
    assert watched.watch() == watched.watch(LOST_LAUNCHER_SECONDS - 1) == []
    assert watched.non_isolated.went_on == []
    assert watched.watch(1) == []
    assert watched.non_isolated.went_on == ([] if hosted else [run.run_id])
    assert "DescribeTasks" not in stack.account.calls()


def asked_by_nobody(launches: Launches, **more: Any) -> DagsterRun:
    """A non-isolated run that is STARTING, with a server on record that has not signed its slot."""
    run = launches.starting(launches.create())
    run_record.write(
        launches.instance,
        run,
        kind=Kind.NON_ISOLATED,
        attempt=1,
        task_arn=NO_TASK,
        address="a:1",
        **more,
    )
    return run


def test_the_slots_are_read_once_for_all_runs_of_a_pass(
    watched: Watched, launches: Launches, stack: Stack
) -> None:
    runs = [asked_by_nobody(launches) for _ in range(3)]
    assert watched.watch() == []
    stack.account.forget()
    assert watched.watch(LOST_LAUNCHER_SECONDS) == []
    assert sorted(watched.non_isolated.went_on) == sorted(run.run_id for run in runs)
    assert stack.account.calls().count("GetItem") == 1


def test_a_malformed_holder_keeps_no_run_waiting(
    watched: Watched, launches: Launches, stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor for the reconciler, which is another thread and may be at its servers."""
    run = asked_by_nobody(launches)
    stack.slots.client.update_item(
        TableName=stack.slots.table,
        Key=KEY,
        UpdateExpression="SET holders.nonsense = :value",
        ExpressionAttributeValues={":value": {"S": "x"}},
    )
    assert watched.watch() == watched.watch(LOST_LAUNCHER_SECONDS) == []
    assert watched.non_isolated.went_on == [run.run_id]
    assert "Holder 'nonsense' is removed" in caplog.text


def test_slow_starts_keep_no_dead_task_waiting(
    watched: Watched, launches: Launches, stack: Stack
) -> None:
    """Each may wait for its server: those come last, and only for as long as launches may take."""
    starts = [asked_by_nobody(launches) for _ in range(3)]
    assert watched.watch() == []
    dead = waiting_for(launches, stack.dead("false"))
    ended: list[bool] = []

    def be_slow(run: DagsterRun) -> None:
        ended.append(launches.read(dead).is_finished)
        watched.now += LAUNCHING_SECONDS

    watched.non_isolated.meanwhile = be_slow
    assert watched.watch(LOST_LAUNCHER_SECONDS) == []
    assert ended == [True]
    assert watched.watch() == []
    assert len(set(watched.non_isolated.went_on)) == 2
    assert watched.watch() == []
    assert set(watched.non_isolated.went_on) == {run.run_id for run in starts}


def test_an_automated_launch_is_gone_on_with_soon(watched: Watched, launches: Launches) -> None:
    run = asked_by_nobody(launches, wait=Wait(since=1000, until=1020))
    watched.epoch = 1019
    assert watched.watch() == []
    assert watched.non_isolated.went_on == []
    watched.epoch = 1020
    assert watched.watch() == []
    assert watched.non_isolated.went_on == [run.run_id]
