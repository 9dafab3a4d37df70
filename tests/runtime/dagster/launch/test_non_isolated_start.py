"""Starts whose launcher is gone, late or met by a cancel: once, or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from dagster import DagsterEvent, DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.launcher import LaunchRunContext
from dagster._grpc.__generated__ import dagster_api_pb2
from dagster._grpc.__generated__.dagster_api_pb2_grpc import (
    DagsterApiServicer,
    add_DagsterApiServicer_to_server,
)
from dagster._grpc.types import GetCurrentRunsResult
from dagster._serdes import serialize_value

from run_isolation import Acquired, Holder, tag_names
from run_isolation.dagster import run_record
from run_isolation.dagster.deployment import Deployment
from run_isolation.dagster.launch.non_isolated_runs import ServerRuns
from run_isolation.dagster.launch.non_isolated_start import NonIsolatedStart
from run_isolation.dagster.standing.client import ServerSilentError, StandingServer
from run_isolation.server_identity import ServerIdentity
from run_isolation.slots.decision import Kind
from run_isolation.start_run_timers import Patience
from tests.runtime.dagster.account import CONTROL_PORT, LOCATION, Stack
from tests.runtime.dagster.launches import Launches
from tests.waiting import eventually

NOBODY = "127.0.0.1:9"


@pytest.fixture
def runs() -> ServerRuns:
    return ServerRuns(Deployment())


@pytest.fixture
def address(stack: Stack, standing_task: str) -> str:
    return f"{stack.address(standing_task)}:{CONTROL_PORT}"


def starting(
    launches: Launches, stack: Stack, task_arn: str = "", address: str = "", **config: object
) -> DagsterRun:
    """A run that holds a slot, whose launcher has got as far as this server."""
    run = launches.create(config=config)
    answer = stack.slots.acquire(Holder(run.run_id, 1, LOCATION))
    assert isinstance(answer, Acquired), answer
    run_record.write(
        launches.instance,
        run,
        kind=Kind.NON_ISOLATED,
        attempt=1,
        task_arn=task_arn,
        address=address,
    )
    return launches.starting(run)


def in_the_end(runs: ServerRuns, launches: Launches, run: DagsterRun) -> None:
    """As the watcher does: on a busy machine a start takes longer than it waits for one answer."""
    eventually(lambda: runs.go_on(launches.instance, run))


def processes(launches: Launches, run: DagsterRun) -> int:
    return sum(text.startswith("Started process") for text in launches.events(run))


def is_sent_back(launches: Launches, stack: Stack, run: DagsterRun) -> str:
    """The reason."""
    now = launches.read(run)
    assert now.status is DagsterRunStatus.QUEUED
    assert run_record.read(now) == run_record.RunTags(kind=Kind.ISOLATED, attempt=1)
    assert stack.slots.holders() == ()
    return now.tags[tag_names.REASON]


class TestGoOn:
    def test_without_a_server_on_record_it_is_isolated(
        self, runs: ServerRuns, launches: Launches, stack: Stack
    ) -> None:
        run = starting(launches, stack)
        assert runs.go_on(launches.instance, run)
        assert "Its launcher ended before" in is_sent_back(launches, stack, run)

    def test_a_start_that_was_not_sent_is_sent(
        self,
        runs: ServerRuns,
        launches: Launches,
        stack: Stack,
        standing_task: str,
        address: str,
    ) -> None:
        run = starting(launches, stack, standing_task, address)
        in_the_end(runs, launches, run)
        assert launches.ended(run).status is DagsterRunStatus.SUCCESS
        eventually(lambda: stack.slots.holders() == ())

    def test_one_that_was_sent_starts_nothing_again(
        self,
        runs: ServerRuns,
        launches: Launches,
        stack: Stack,
        standing_task: str,
        address: str,
        tmp_path: Path,
    ) -> None:
        go = tmp_path / "go"
        run = starting(launches, stack, standing_task, address, wait_for=str(go))
        for _ in range(3):
            in_the_end(runs, launches, run)
        go.touch()
        assert launches.ended(run).status is DagsterRunStatus.SUCCESS
        assert processes(launches, run) == 1

    def test_a_silent_server_is_asked_again_later(
        self, runs: ServerRuns, launches: Launches, stack: Stack, standing_task: str
    ) -> None:
        run = starting(launches, stack, standing_task, NOBODY)
        assert not runs.go_on(launches.instance, run)
        assert launches.read(run).status is DagsterRunStatus.STARTING
        assert [holder.run_id for holder in stack.slots.holders()] == [run.run_id]

    def test_where_ecs_does_not_answer_either_nothing_is_known(
        self, runs: ServerRuns, launches: Launches, stack: Stack, standing_task: str
    ) -> None:
        run = starting(launches, stack, standing_task, NOBODY)
        stack.account.fault("error", operation="DescribeTasks", code="ServerException", times=None)
        assert not runs.go_on(launches.instance, run)

    def test_a_dead_task_s_is_isolated(
        self, runs: ServerRuns, launches: Launches, stack: Stack
    ) -> None:
        task_arn = stack.run_task(stack.register("dead", ["false"]))
        eventually(lambda: stack.describe(task_arn)["lastStatus"] == "STOPPED")
        run = starting(launches, stack, task_arn, NOBODY)
        assert runs.go_on(launches.instance, run)
        reason = is_sent_back(launches, stack, run)
        assert "its code server ended, and the run's process with it" in reason

    def test_a_replaced_task_s_is_isolated(
        self,
        runs: ServerRuns,
        launches: Launches,
        stack: Stack,
        standing_task: str,
        address: str,
    ) -> None:
        run = starting(launches, stack, standing_task + "0", address)
        assert runs.go_on(launches.instance, run)
        assert "ended before the run began" in is_sent_back(launches, stack, run)

    def test_a_run_that_is_not_waiting_is_left_alone(
        self, runs: ServerRuns, launches: Launches, stack: Stack, standing_task: str
    ) -> None:
        run = launches.started(starting(launches, stack, standing_task, NOBODY))
        assert runs.go_on(launches.instance, run)
        assert launches.read(run) == run


def test_a_launcher_that_comes_late_touches_nothing(
    runs: ServerRuns, launches: Launches, stack: Stack
) -> None:
    run = starting(launches, stack)
    runs.go_on(launches.instance, run)
    # The queue has launched it meanwhile, as isolated.
    run_record.write(launches.instance, launches.read(run), attempt=2, task_arn="arn:task/isolated")
    isolated = launches.starting(run)
    runs.launch(launches.instance, LaunchRunContext(run, launches.workspace()))
    assert launches.read(run) == isolated


def test_a_cancel_before_the_start_is_sent_ends_the_run_and_the_start_executes_nothing(
    runs: ServerRuns,
    launches: Launches,
    stack: Stack,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    place = tmp_path / "place.json"
    start_run = StandingServer.start_run

    def after_a_cancel(self: StandingServer, *args: Any) -> Any:
        assert launches.instance.run_launcher.terminate(run.run_id)
        return start_run(self, *args)

    run = starting(launches, stack, report_to=str(place))
    monkeypatch.setattr(StandingServer, "start_run", after_a_cancel)
    runs.launch(launches.instance, LaunchRunContext(run, launches.workspace()))
    assert launches.read(run).status is DagsterRunStatus.CANCELED
    eventually(lambda: stack.slots.holders() == ())
    assert not place.exists()


def test_a_cancel_while_the_answer_is_lost_reaches_the_process(
    runs: ServerRuns,
    launches: Launches,
    stack: Stack,
    standing_task: str,
    address: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    place = tmp_path / "place.json"
    run = starting(
        launches,
        stack,
        standing_task,
        address,
        report_to=str(place),
        wait_for=str(tmp_path / "never"),
    )
    start_run = StandingServer.start_run

    def lost(self: StandingServer, *args: Any) -> Any:
        start_run(self, *args)
        raise ServerSilentError("lost")

    monkeypatch.setattr(StandingServer, "start_run", lost)
    runs.go_on(launches.instance, run)
    eventually(place.exists)
    assert launches.instance.run_launcher.terminate(run.run_id)
    assert launches.ended(run).status is DagsterRunStatus.CANCELED
    eventually(lambda: stack.slots.holders() == ())


def test_a_non_isolated_run_is_resumed_isolated(
    launches: Launches, stack: Stack, standing_task: str, address: str
) -> None:
    run = launches.started(starting(launches, stack, standing_task, address))
    launches.instance.resume_run(run.run_id, launches.workspace(), attempt_number=1)
    now = run_record.read(launches.read(run))
    assert (now.kind, now.attempt, now.address) == (Kind.ISOLATED, 2, None)
    assert stack.tasks() == [now.task_arn]
    stack.stop(str(now.task_arn))


class Played(DagsterApiServicer):
    """A server that does not start runs."""

    def __init__(self, code: grpc.StatusCode | None, current: Sequence[str]) -> None:
        self._code = code
        self._current = list(current)
        self.asked = 0
        self.identity = ServerIdentity("arn:task/played", "")

    def StartRun(self, request: Any, context: Any) -> Any:  # noqa: N802  # gRPC's name
        self.asked += 1
        if self._code is None:
            raise EOFError("It ended without an answer.")
        context.abort(self._code, "Run is being started.")

    def GetServerId(self, request: Any, context: Any) -> Any:  # noqa: N802  # gRPC's name
        return dagster_api_pb2.GetServerIdReply(server_id=self.identity.to_server_id())

    def GetCurrentRuns(self, request: Any, context: Any) -> Any:  # noqa: N802  # gRPC's name
        result = GetCurrentRunsResult(current_runs=self._current, serializable_error_info=None)
        return dagster_api_pb2.GetCurrentRunsReply(serialized_current_runs=serialize_value(result))


@contextmanager
def played(code: grpc.StatusCode | None, *current: str) -> Iterator[Played]:
    servicer = Played(code, current)
    server = grpc.server(ThreadPoolExecutor(2))
    add_DagsterApiServicer_to_server(servicer, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    servicer.identity = replace(servicer.identity, address=f"127.0.0.1:{port}")
    try:
        yield servicer
    finally:
        server.stop(None)


def test_a_server_that_fails_to_start_it_and_does_not_have_it_is_asked_once(
    launches: Launches, stack: Stack
) -> None:
    run = starting(launches, stack)
    with played(None) as server:
        start = NonIsolatedStart(Deployment(), launches.instance, run)
        start.at_one_of(iter([server.identity]))
    assert server.asked == 1
    assert "The server failed to start it." in is_sent_back(launches, stack, run)


def test_a_server_that_fails_in_the_call_and_has_it_is_asked_again(
    launches: Launches, stack: Stack
) -> None:
    run = starting(launches, stack)
    with played(None, run.run_id) as server:
        start = NonIsolatedStart(Deployment(), launches.instance, run)
        assert not start.at_recorded_server(server.identity)
    assert launches.read(run).status is DagsterRunStatus.STARTING
    assert [holder.run_id for holder in stack.slots.holders()] == [run.run_id]


def test_an_automated_launch_waits_for_nobody(launches: Launches, stack: Stack) -> None:
    run = starting(launches, stack)
    stack.account.forget()
    with played(grpc.StatusCode.ALREADY_EXISTS) as server:
        start = NonIsolatedStart(Deployment(), launches.instance, run, Patience.AUTOMATED)
        start.at_one_of(iter([server.identity]))
    assert server.asked == 1
    assert launches.read(run).status is DagsterRunStatus.STARTING
    assert [holder.run_id for holder in stack.slots.holders()] == [run.run_id]
    assert not any("started nowhere else" in text for text in launches.events(run))
    assert "DescribeTasks" not in stack.account.calls()


def test_a_run_that_is_sent_back_has_no_slot_when_the_queue_has_it(
    launches: Launches, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A StartRun that comes late, of a call that its caller has given up, finds none to sign."""
    run = starting(launches, stack)
    enqueue = DagsterEvent.job_enqueue
    held: list[int] = []

    def noting(*args: Any) -> DagsterEvent:
        held.append(len(stack.slots.holders()))
        return enqueue(*args)

    monkeypatch.setattr(DagsterEvent, "job_enqueue", noting)
    NonIsolatedStart(Deployment(), launches.instance, run).at_recorded_server(None)
    assert held == [0]


def test_a_launcher_that_stood_still_sends_no_run_back_that_another_one_launched(
    launches: Launches, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = starting(launches, stack)
    report = DagsterInstance.report_engine_event

    def late(self: DagsterInstance, *args: Any, **more: Any) -> None:
        report(self, *args, **more)
        run_record.write(self, launches.read(run), task_arn="arn:task/isolated")
        launches.started(run)

    monkeypatch.setattr(DagsterInstance, "report_engine_event", late)
    NonIsolatedStart(Deployment(), launches.instance, run).at_recorded_server(None)
    assert launches.read(run).status is DagsterRunStatus.STARTED
