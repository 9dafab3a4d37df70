"""What follows a launch of an isolated run that was begun, or whose task is lost."""

from __future__ import annotations

import pytest
from dagster import DagsterRun, DagsterRunStatus

from run_isolation import LaunchTagsError
from run_isolation.dagster import run_record
from run_isolation.dagster.deployment import Deployment
from run_isolation.dagster.launch.isolated_launch import IsolatedLauncher
from tests.runtime.dagster.account import Stack
from tests.runtime.dagster.launch.isolated import asked, publish, tasks
from tests.runtime.dagster.launches import Launches


def forget_task(launches: Launches, run: DagsterRun) -> DagsterRun:
    """As after a crash between RunTask and the note of its task."""
    run_record.write(launches.instance, launches.read(run), task_arn="")
    return launches.read(run)


@pytest.mark.parametrize("changed", [False, True])
def test_going_on_finds_the_task_that_was_started_and_not_noted(
    launches: Launches, stack: Stack, launcher: IsolatedLauncher, changed: bool
) -> None:
    # Its process would write to the run as well, and Dagster stores all tags of a run at once.
    stack.account.fault("dead_task")
    run = launches.create()
    assert launcher.launch(launches.instance, run)
    task_arn = run_record.read(launches.read(run)).task_arn
    run = forget_task(launches, run)
    if changed:
        # The request is another one then, and ECS answers with a conflict.
        publish(stack, network={"assign_public_ip": True})
    stack.account.forget()

    assert IsolatedLauncher(Deployment()).go_on(launches.instance, run)

    assert stack.account.calls() == ["GetParameter", "RunTask"]
    assert tasks(stack, run) == [task_arn]
    stored = run_record.read(launches.read(run))
    assert (stored.task_arn, stored.attempt) == (task_arn, 1)


def test_going_on_with_a_run_that_has_no_attempt_makes_the_first(
    launches: Launches, launcher: IsolatedLauncher, run: DagsterRun
) -> None:
    assert launcher.go_on(launches.instance, run)
    assert run_record.read(launches.read(run)).attempt == 1
    assert run_record.read(launches.read(run)).task_arn is not None


def test_going_on_with_a_run_that_must_fail(
    launches: Launches, stack: Stack, launcher: IsolatedLauncher
) -> None:
    with pytest.raises(LaunchTagsError):
        launcher.go_on(launches.instance, asked(launches, cpu="1"))


def test_a_relaunch_is_a_new_attempt_that_says_why(
    launches: Launches, stack: Stack, launcher: IsolatedLauncher, run: DagsterRun
) -> None:
    stack.account.fault("dead_task")
    assert launcher.launch(launches.instance, run)
    (dead,) = tasks(stack, run)

    assert launcher.relaunch(launches.instance, launches.read(run), "Its task died of the flu.")

    assert "Its task died of the flu. Attempt 2 follows." in launches.events(run)
    stored = run_record.read(launches.read(run))
    assert stored.attempt == 2
    assert sorted(tasks(stack, run)) == sorted([dead, str(stored.task_arn)])
    assert launches.ended(run).status is DagsterRunStatus.SUCCESS


def test_a_relaunch_in_vain_is_left_to_going_on(
    launches: Launches, stack: Stack, launcher: IsolatedLauncher, run: DagsterRun
) -> None:
    stack.account.fault("dead_task")  # it would say on the run that attempt 1 is in charge
    assert launcher.launch(launches.instance, run)
    stack.account.fault("error", operation="RunTask")

    assert not launcher.relaunch(launches.instance, launches.read(run), "It died.")

    stored = run_record.read(launches.read(run))
    assert (stored.attempt, stored.task_arn) == (2, None)
    assert launcher.go_on(launches.instance, launches.read(run))
    assert run_record.read(launches.read(run)).attempt == 2
