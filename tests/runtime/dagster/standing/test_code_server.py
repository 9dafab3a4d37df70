"""The standing server: each run starts once, and its slot is free however its process ends."""

from __future__ import annotations

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from dagster import DagsterRun, DagsterRunStatus
from dagster._grpc.client import DagsterGrpcClient
from dagster._grpc.types import StartRunResult

from run_isolation import Acquired, Holder
from run_isolation.dagster.standing.client import (
    ServerReplacedError,
    ServerStartingError,
    StandingServer,
)
from run_isolation.server_identity import ServerIdentity
from tests.runtime.dagster.account import CONTROL_PORT, LOCATION, PORT, Stack
from tests.runtime.dagster.launches import Launches
from tests.waiting import eventually


@pytest.fixture
def identity(stack: Stack, standing_task: str) -> ServerIdentity:
    return ServerIdentity(standing_task, f"{stack.address(standing_task)}:{CONTROL_PORT}")


def start(launches: Launches, run: DagsterRun, identity: ServerIdentity) -> StartRunResult:
    assert run.remote_job_origin is not None
    return StandingServer(identity.address).start_run(
        launches.instance, run, run.remote_job_origin, identity, attempt=1
    )


def holding(launches: Launches, stack: Stack, **config: object) -> DagsterRun:
    run = launches.create(config=config)
    assert isinstance(stack.slots.acquire(Holder(run.run_id, 1, LOCATION)), Acquired)
    return run


def test_its_id_at_both_ports_tells_its_task_and_its_control_port(identity: ServerIdentity) -> None:
    host, _ = identity.address.split(":")
    for port in (PORT, CONTROL_PORT):
        server_id = DagsterGrpcClient(host=host, port=port).get_server_id()
        assert ServerIdentity.from_server_id(server_id) == identity


def test_repeated_starts_start_it_once_and_hold_no_thread(
    launches: Launches, stack: Stack, identity: ServerIdentity, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    run = holding(launches, stack, wait_for=str(go))

    def ask() -> bool:
        try:
            return start(launches, run, identity).success
        except ServerStartingError:
            return False

    with ThreadPoolExecutor() as pool:
        assert any(list(pool.map(lambda _: ask(), range(3))))
    assert ask(), "later it gets the answer of the first"
    assert StandingServer(identity.address).current_runs(identity.task_arn) == {run.run_id}
    go.touch()
    assert launches.ended(run).status is DagsterRunStatus.SUCCESS
    eventually(lambda: stack.slots.holders() == ())
    # Also when it is long over.
    assert start(launches, run, identity).success
    processes = [text for text in launches.events(run) if text.startswith("Started process")]
    assert len(processes) == 1


def test_a_start_that_is_meant_for_another_server_is_refused(
    launches: Launches, identity: ServerIdentity
) -> None:
    run = launches.create()
    another = ServerIdentity(identity.task_arn + "0", identity.address)
    with pytest.raises(ServerReplacedError, match=identity.task_arn):
        start(launches, run, another)
    assert launches.read(run).status is DagsterRunStatus.NOT_STARTED


def test_a_run_that_holds_no_slot_is_not_started(
    launches: Launches, identity: ServerIdentity
) -> None:
    run = launches.create()
    result = start(launches, run, identity)
    assert not result.success
    assert result.message == "It no longer holds its slot."
    assert launches.read(run).status is DagsterRunStatus.NOT_STARTED


def test_a_start_that_fails_gives_the_slot_back_and_says_why(
    launches: Launches, stack: Stack, identity: ServerIdentity
) -> None:
    run = holding(launches, stack)
    launches.instance.delete_run(run.run_id)
    result = start(launches, run, identity)
    assert not result.success
    assert run.run_id in str(result.message)
    eventually(lambda: stack.slots.holders() == ())


def test_a_failing_run_frees_its_slot(
    launches: Launches, stack: Stack, identity: ServerIdentity
) -> None:
    run = holding(launches, stack, fail=True)
    start(launches, run, identity)
    assert launches.ended(run).status is DagsterRunStatus.FAILURE
    eventually(lambda: stack.slots.holders() == ())


def test_a_killed_process_fails_its_run_and_frees_its_slot(
    launches: Launches, stack: Stack, identity: ServerIdentity, tmp_path: Path
) -> None:
    place = tmp_path / "place.json"
    run = holding(launches, stack, report_to=str(place), wait_for=str(tmp_path / "never"))
    start(launches, run, identity)
    eventually(place.exists)
    os.kill(json.loads(place.read_text())["pid"], signal.SIGKILL)
    assert launches.ended(run).status is DagsterRunStatus.FAILURE
    eventually(lambda: stack.slots.holders() == ())


def test_the_slot_of_a_newer_attempt_is_left_alone(
    launches: Launches, stack: Stack, identity: ServerIdentity, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    run = holding(launches, stack, wait_for=str(go))
    start(launches, run, identity)
    stack.slots.acquire(Holder(run.run_id, 2, LOCATION))
    go.touch()
    launches.ended(run)
    server = StandingServer(identity.address)
    eventually(lambda: run.run_id not in server.current_runs(identity.task_arn))
    # The next run's end is after this one's: releases are made one after the other.
    assert [holder.attempt for holder in stack.slots.holders()] == [2]
