"""Isolated runs: real tasks of the local account, which claim and execute real runs."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from dagster import DagsterRun, DagsterRunStatus
from dagster._core.launcher import WorkerStatus

from run_isolation.dagster import run_record
from run_isolation.dagster.worker import Exit
from run_isolation.isolated import waiting_runs
from run_isolation.isolated.run_task import IsolatedLaunch, request
from run_isolation.slots.decision import Kind
from tests.runtime.dagster.account import LOCATION, Stack
from tests.runtime.dagster.launches import Launches
from tests.waiting import eventually

NO_TASK = "arn:aws:ecs:us-east-1:000000000000:task/run-isolation-test/none"


def exit_code(stack: Stack, task_arn: str) -> int:
    eventually(lambda: stack.describe(task_arn)["lastStatus"] == "STOPPED")
    return int(stack.describe(task_arn)["containers"][0]["exitCode"])


def task_of(run: DagsterRun) -> str:
    task_arn = run_record.read(run).task_arn
    assert task_arn is not None
    return task_arn


def started(launches: Launches, task_arn: str) -> DagsterRun:
    """A run that is STARTED in this task, as far as Dagster's storage knows."""
    run = launches.started(launches.create())
    run_record.write(launches.instance, run, kind=Kind.ISOLATED, attempt=1, task_arn=task_arn)
    return launches.read(run)


def test_a_duplicate_task_executes_nothing(
    launches: Launches, stack: Stack, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    place = tmp_path / "place.json"
    run = launches.dequeue(launches.create(config={"report_to": str(place), "wait_for": str(go)}))
    eventually(place.exists)
    again = request(
        stack.manifest, IsolatedLaunch(run.run_id, 1, LOCATION, stack.isolated_definition)
    )
    duplicate = stack.ecs.run_task(**again | {"clientToken": "forgotten"})["tasks"][0]["taskArn"]
    assert exit_code(stack, duplicate) == Exit.NOT_MINE
    assert task_of(run) in stack.output("isolated", duplicate)
    go.touch()
    assert launches.ended(run).status is DagsterRunStatus.SUCCESS
    assert task_of(launches.read(run)) == task_of(run)


def test_a_failing_run_ends_its_task_with_1(launches: Launches, stack: Stack) -> None:
    run = launches.dequeue(launches.create(config={"fail": True}))
    assert launches.ended(run).status is DagsterRunStatus.FAILURE
    assert exit_code(stack, task_of(run)) == Exit.RUN_FAILED


def test_cancel_stops_the_task(launches: Launches, stack: Stack, tmp_path: Path) -> None:
    place = tmp_path / "place.json"
    config = {"report_to": str(place), "wait_for": str(tmp_path / "never")}
    run = launches.dequeue(launches.create(config=config))
    eventually(place.exists)
    assert launches.instance.run_launcher.terminate(run.run_id)
    assert launches.ended(run).status is DagsterRunStatus.CANCELED
    assert stack.account.sent("StopTask")[0]["task"] == task_of(run)


def test_a_killed_task_is_noticed_and_the_run_goes_on_in_another(
    launches: Launches, stack: Stack, tmp_path: Path
) -> None:
    go, place = tmp_path / "go", tmp_path / "place.json"
    run = launches.dequeue(launches.create(config={"report_to": str(place), "wait_for": str(go)}))
    eventually(place.exists)
    launcher = launches.instance.run_launcher
    assert launcher.check_run_worker_health(launches.read(run)).status is WorkerStatus.RUNNING
    os.kill(json.loads(place.read_text())["pid"], signal.SIGKILL)
    assert exit_code(stack, task_of(run)) == 137
    health = launcher.check_run_worker_health(launches.read(run))
    assert health.status is WorkerStatus.FAILED
    assert "137" in str(health.msg)

    go.touch()
    launches.instance.resume_run(run.run_id, launches.workspace(), attempt_number=1)
    assert launches.ended(run).status is DagsterRunStatus.SUCCESS
    assert run_record.read(launches.read(run)).attempt == 2


def test_cancel_before_the_task_is_known_is_kept_for_it(launches: Launches) -> None:
    run = launches.create()
    assert launches.instance.run_launcher.terminate(run.run_id)
    assert launches.read(run).status is DagsterRunStatus.CANCELING


def test_a_task_that_ecs_does_not_show_yet_counts_as_running(
    launches: Launches, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = started(launches, NO_TASK)
    launcher = launches.instance.run_launcher
    assert launcher.check_run_worker_health(run).status is WorkerStatus.RUNNING
    monkeypatch.setattr(waiting_runs, "MISSING_SECONDS", -1)
    assert launcher.check_run_worker_health(run).status is WorkerStatus.NOT_FOUND


def test_trouble_with_aws_is_no_verdict_about_the_run(launches: Launches, stack: Stack) -> None:
    run = started(launches, NO_TASK)
    stack.account.fault("error", operation="DescribeTasks", code="AccessDeniedException")
    with pytest.raises(ClientError):
        launches.instance.run_launcher.check_run_worker_health(run)
