"""What the health of non-isolated runs costs the one thread of Dagster's monitor."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError
from dagster import DagsterRun
from dagster._core.launcher import WorkerStatus

from run_isolation.dagster import run_record
from run_isolation.dagster.launch import started_servers
from run_isolation.dagster.launch.started_servers import StartedServers
from run_isolation.dagster.launch.started_tasks import FRESH_SECONDS
from run_isolation.dagster.standing.client import (
    ServerReplacedError,
    ServerSilentError,
    StandingServer,
)
from run_isolation.server_identity import ServerIdentity
from run_isolation.slots.decision import Kind
from tests.runtime.dagster.account import Stack
from tests.runtime.dagster.launches import Launches
from tests.waiting import eventually

IN_DAGSTERS_THREAD_SECONDS = 5.0
"""On a busy machine; less than one on a quiet one. It was ten for each run."""
SERVER = ServerIdentity("arn:task/1", "10.0.0.1:4001")


@pytest.fixture
def swallows() -> Iterator[str]:
    """An address that takes what is sent and never answers, as that of a stopped Fargate task."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield "{}:{}".format(*server.getsockname())


def hosted(launches: Launches, task_arn: str, address: str) -> DagsterRun:
    """A run that is STARTED there, as far as Dagster's storage knows."""
    run = launches.started(launches.create())
    run_record.write(
        launches.instance,
        run,
        kind=Kind.NON_ISOLATED,
        attempt=1,
        task_arn=task_arn,
        address=address,
    )
    return launches.read(run)


def check(launches: Launches, run: DagsterRun) -> WorkerStatus:
    """The run's health, in the time that it may take."""
    began = time.monotonic()
    status = launches.instance.run_launcher.check_run_worker_health(run).status
    assert time.monotonic() - began < IN_DAGSTERS_THREAD_SECONDS
    return status


def test_runs_of_a_container_that_is_dead_wait_for_no_answer(
    launches: Launches, stack: Stack, swallows: str
) -> None:
    dead = stack.run_task(stack.register("dead", ["false"]))
    eventually(lambda: stack.describe(dead)["lastStatus"] == "STOPPED")
    runs = [hosted(launches, dead, swallows) for _ in range(3)]
    stack.account.forget()
    assert [check(launches, run) for run in runs] == [WorkerStatus.FAILED] * 3
    assert stack.account.calls().count("DescribeTasks") == 1


def test_runs_of_a_container_that_does_not_answer_are_in_doubt_and_wait_shortly_once(
    launches: Launches, standing_task: str, swallows: str
) -> None:
    assert 2 * started_servers.HEALTH_SECONDS < 1
    runs = [hosted(launches, standing_task, swallows) for _ in range(5)]
    began = time.monotonic()
    assert [check(launches, run) for run in runs] == [WorkerStatus.RUNNING] * 5
    assert time.monotonic() - began < 2 * IN_DAGSTERS_THREAD_SECONDS


def test_trouble_with_ecs_is_waited_for_once_in_a_round(
    launches: Launches, stack: Stack, standing_task: str, swallows: str
) -> None:
    runs = [hosted(launches, standing_task, swallows) for _ in range(3)]
    stack.account.forget()
    stack.account.fault("error", operation="DescribeTasks", code="ServerException", status=500)
    for run in runs:
        with pytest.raises(ClientError):
            check(launches, run)
    assert stack.account.calls().count("DescribeTasks") == 1  # the SDK repeats none


class Servers:
    """One server, and what it is asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.asked = 0.0, 0
        self.answer: frozenset[str] | Exception = frozenset({"run-a"})
        self.of_round = StartedServers(clock=lambda: self.now)
        monkeypatch.setattr(StandingServer, "current_runs", self._current_runs)

    def _current_runs(self, task_arn: str, seconds: float) -> frozenset[str]:
        assert (task_arn, seconds) == (SERVER.task_arn, started_servers.HEALTH_SECONDS)
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def has(self, run_id: str) -> bool:
        return self.of_round.has(SERVER, run_id)


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Servers:
    return Servers(monkeypatch)


def test_a_server_is_asked_once_a_round(servers: Servers) -> None:
    servers.answer = frozenset({"run-a", "run-b"})
    assert servers.has("run-a")
    assert servers.has("run-b")
    assert servers.asked == 1
    servers.now = FRESH_SECONDS
    servers.answer = frozenset()
    assert not servers.has("run-a")
    assert servers.asked == 2


def test_answers_of_servers_that_are_gone_are_not_kept(servers: Servers) -> None:
    for number in range(3):
        server = ServerIdentity(SERVER.task_arn, f"10.0.0.{number}:4001")
        assert servers.of_round.has(server, "run-a")
        servers.now += FRESH_SECONDS
    assert len(servers.of_round._answers) == 1


def test_that_a_run_is_gone_is_never_told_by_an_answer_of_before(servers: Servers) -> None:
    assert servers.has("run-a")
    servers.answer = frozenset({"run-a", "run-that-has-begun-since"})
    assert servers.has("run-that-has-begun-since")
    assert not servers.has("run-that-is-gone")


@pytest.mark.parametrize("trouble", [ServerSilentError("no."), ServerReplacedError("other.")])
def test_trouble_with_a_server_is_told_to_all_of_a_round(
    servers: Servers, trouble: Exception
) -> None:
    servers.answer = trouble
    for run_id in ("run-a", "run-b"):
        with pytest.raises(type(trouble)):
            servers.has(run_id)
    assert servers.asked == 1
    servers.now, servers.answer = FRESH_SECONDS, frozenset({"run-a"})
    assert servers.has("run-a")
