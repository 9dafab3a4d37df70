"""What the launcher says about runs that have begun, and how few calls it takes."""

from __future__ import annotations

import pytest
from dagster import DagsterRun, DagsterRunStatus
from dagster._core.launcher import WorkerStatus

from run_isolation import tag_names
from run_isolation.dagster import run_record
from run_isolation.slots.decision import Kind
from tests.runtime.dagster.account import LOG_GROUP, Stack
from tests.runtime.dagster.launches import Launches

NO_TASK = "arn:aws:ecs:us-east-1:000000000000:task/run-isolation-test/none"


def started(launches: Launches, task_arn: str, kind: Kind = Kind.ISOLATED) -> DagsterRun:
    """A run that is STARTED in this task, as far as Dagster's storage knows."""
    run = launches.started(launches.create())
    run_record.write(launches.instance, run, kind=kind, attempt=1, task_arn=task_arn)
    return launches.read(run)


def test_a_round_of_the_monitor_is_one_call(launches: Launches, stack: Stack) -> None:
    dead = stack.dead("false")
    runs = [started(launches, NO_TASK + str(number)) for number in range(9)]
    runs.append(started(launches, dead))
    standing = started(launches, NO_TASK, Kind.NON_ISOLATED)
    launcher = launches.instance.run_launcher
    stack.account.forget()

    for _ in range(2):
        found = [launcher.check_run_worker_health(run).status for run in runs]
        assert found == [WorkerStatus.RUNNING] * 9 + [WorkerStatus.FAILED]

    # A second round asks again: no answer is older than its round.
    assert stack.account.calls().count("DescribeTasks") == 2
    assert set(stack.account.calls()) <= {"GetParameter", "DescribeTasks"}
    for call in stack.account.sent("DescribeTasks"):
        asked = set(call["tasks"])
        assert asked == {run_record.read(run).task_arn for run in [*runs, standing]}


def test_beside_a_run_of_a_later_version_the_others_are_answered(launches: Launches) -> None:
    later, run = started(launches, NO_TASK + "1"), started(launches, NO_TASK)
    launches.instance.add_run_tags(later.run_id, {tag_names.KIND: "delegated"})
    found = launches.instance.run_launcher.check_run_worker_health(run)
    assert found.status is WorkerStatus.RUNNING


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("true", "Exit code 0 is no success here: the run had not ended."),
        ("false", "exit code 1"),
    ],
)
def test_a_task_that_left_its_run_has_failed(
    launches: Launches, stack: Stack, command: str, says: str
) -> None:
    run = started(launches, stack.dead(command))
    health = launches.instance.run_launcher.check_run_worker_health(run)
    assert health.status is WorkerStatus.FAILED
    assert not health.transient
    assert says in str(health.msg)
    assert "EssentialContainerExited" in str(health.msg)


def test_debug_info_has_the_last_lines_and_where_the_others_are(
    launches: Launches, stack: Stack
) -> None:
    task_arn = stack.dead("sh", "-c", "seq 100; echo last words; exit 7")
    run = started(launches, task_arn)
    launcher = launches.instance.run_launcher
    info = launcher.get_run_worker_debug_info(run)
    assert info is not None
    assert "exit code 7" in info
    assert "last words" in info
    assert " 82\n" in info
    assert " 81\n" not in info
    task = task_arn.rsplit("/", 1)[-1]
    assert f"log group {LOG_GROUP}, stream isolated/dagster/{task}" in info
    assert f"log-events/isolated$252Fdagster$252F{task}" in info

    stack.account.forget()
    brief = launcher.get_run_worker_debug_info(run, include_container_logs=False)
    assert brief is not None
    assert "last words" not in brief
    assert task in brief
    assert "GetLogEvents" not in stack.account.calls()


def test_trouble_with_logs_is_no_trouble(launches: Launches, stack: Stack) -> None:
    run = started(launches, stack.dead("false"))
    stack.account.fault(
        "error", service="logs", operation="GetLogEvents", code="AccessDeniedException", times=None
    )
    info = launches.instance.run_launcher.get_run_worker_debug_info(run)
    assert info is not None
    assert "exit code 1" in info
    assert "could not be read" in info


def test_cancel_is_one_call(launches: Launches, stack: Stack) -> None:
    task_arn = stack.run_task(stack.register("isolated", ["sleep", "60"]))
    run = started(launches, task_arn)
    launches.instance.run_launcher.terminate(run.run_id)
    stack.wait_for_stopped(task_arn)
    stack.account.forget()

    # The second one finds the task stopped: nobody else will end the run.
    assert launches.instance.run_launcher.terminate(run.run_id)
    assert stack.account.calls() == ["StopTask"]
    assert launches.read(run).status is DagsterRunStatus.CANCELED


def test_a_cancel_that_ecs_does_not_hear_is_kept(launches: Launches, stack: Stack) -> None:
    run = started(launches, stack.run_task(stack.register("isolated", ["sleep", "60"])))
    stack.account.fault("error", operation="StopTask", code="AccessDeniedException")
    assert launches.instance.run_launcher.terminate(run.run_id)
    assert launches.read(run).status is DagsterRunStatus.CANCELING
    assert any("could not be stopped" in message for message in launches.events(run))
    stack.stop(str(run.tags[tag_names.TASK_ARN]))
