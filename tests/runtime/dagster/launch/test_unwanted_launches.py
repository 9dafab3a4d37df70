"""Launches of runs that are canceled or deleted meanwhile: no task is left, and none is started."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from dagster import DagsterRun, DagsterRunStatus
from dagster._core.launcher import LaunchRunContext

from run_isolation import launch_isolated
from run_isolation.dagster import run_record
from run_isolation.dagster.deployment import Deployment
from run_isolation.dagster.launch import isolated_launch
from run_isolation.dagster.launch.isolated_launch import IsolatedLauncher
from tests.runtime.dagster.account import Stack
from tests.runtime.dagster.launches import Launches
from tests.runtime.dagster.watched import Watched
from tests.waiting import eventually

Meanwhile = Callable[[Launches, DagsterRun], None]


def cancel(launches: Launches, run: DagsterRun) -> None:
    launches.instance.report_run_canceling(run)


def delete(launches: Launches, run: DagsterRun) -> None:
    launches.instance.delete_run(run.run_id)


@pytest.mark.parametrize("meanwhile", [cancel, delete])
def test_nobody_is_launched_for_whom_nobody_waits_any_more(
    launches: Launches, stack: Stack, monkeypatch: pytest.MonkeyPatch, meanwhile: Meanwhile
) -> None:
    run = launches.create()
    stack.account.fault("run_task_failures", times=5)
    launch_meanwhile(monkeypatch, lambda: meanwhile(launches, launches.read(run)))
    assert not IsolatedLauncher(Deployment()).launch(launches.instance, run)

    assert len(stack.account.sent("RunTask")) == 1
    left = launches.instance.get_run_by_id(run.run_id)
    assert (left and left.status) == (DagsterRunStatus.CANCELED if meanwhile is cancel else None)


@pytest.mark.parametrize("stop_fails", [False, True])
def test_a_run_canceled_during_its_launch_leaves_no_task(
    launches: Launches, stack: Stack, stop_fails: bool
) -> None:
    if stop_fails:
        stack.account.fault("error", operation="StopTask", code="ServerException", times=None)
    run = launches.create()
    launches.instance.report_run_canceling(run)
    launches.instance.run_launcher.launch_run(LaunchRunContext(run, launches.workspace()))
    assert launches.read(run).status is DagsterRunStatus.CANCELED
    assert stack.account.sent("StopTask")[0]["task"] == run_record.read(launches.read(run)).task_arn


def launch_meanwhile(monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], object]) -> None:
    """Something happens while RunTask is called."""

    def act_and_launch(*args: Any) -> str:
        meanwhile()
        return launch_isolated(*args)

    monkeypatch.setattr(isolated_launch, "launch_isolated", act_and_launch)


@pytest.mark.parametrize("submitted", [False, True], ids=["past the coordinator", "submitted"])
def test_a_run_deleted_during_its_launch_leaves_no_task(
    launches: Launches, stack: Stack, monkeypatch: pytest.MonkeyPatch, submitted: bool
) -> None:
    run = launches.create()
    run = launches.submit(run) if submitted else run
    launch_meanwhile(monkeypatch, lambda: launches.instance.delete_run(run.run_id))
    launches.instance.run_launcher.launch_run(LaunchRunContext(run, launches.workspace()))
    assert len(stack.account.sent("RunTask")) == len(stack.account.sent("StopTask")) == 1


def test_a_submitted_run_canceled_during_its_launch_is_ended_by_the_watcher(
    launches: Launches, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = launches.starting(launches.submit(launches.create()))
    stack.account.fault("slow_task", seconds=600)
    launch_meanwhile(monkeypatch, lambda: launches.instance.run_launcher.terminate(run.run_id))
    launches.instance.run_launcher.launch_run(LaunchRunContext(run, launches.workspace()))
    watched = Watched(launches.instance)
    assert watched.watch() == []
    task_arn = run_record.read(launches.read(run)).task_arn
    assert [call["task"] for call in stack.account.sent("StopTask")] == [task_arn]
    eventually(lambda: not watched.watch() and launches.read(run).is_finished)
    assert launches.read(run).status is DagsterRunStatus.CANCELED
