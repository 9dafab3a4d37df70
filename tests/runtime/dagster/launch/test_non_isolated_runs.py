"""Non-isolated runs: processes of a real standing server, whose answers get lost or never come."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from dagster import DagsterRun, DagsterRunStatus
from dagster._core.launcher import LaunchRunContext, WorkerStatus
from dagster._core.remote_representation.code_location import GrpcServerCodeLocation
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import GrpcServerTarget
from dagster._grpc.__generated__ import dagster_api_pb2
from dagster._grpc.__generated__.dagster_api_pb2_grpc import DagsterApiStub
from dagster._grpc.client import DagsterGrpcClient

from run_isolation import Acquired, Holder, start_run_timers, tag_names
from run_isolation.dagster import run_record
from run_isolation.dagster.standing.client import ServerSilentError, StandingServer
from run_isolation.dagster.warm import template
from run_isolation.server_identity import ServerIdentity
from run_isolation.slots.decision import Kind
from tests.runtime.dagster.account import CONTROL_PORT, LOCATION, PORT, Stack
from tests.runtime.dagster.conftest import serve
from tests.runtime.dagster.launches import NON_ISOLATED, Launches
from tests.waiting import eventually

NOBODY = "127.0.0.1:9"
SOON_SECONDS = 10
"""It takes one, and on a busy machine some more; it was 20 minutes."""


def no_holder(stack: Stack) -> None:
    eventually(lambda: stack.slots.holders() == ())


@pytest.fixture
def own_server(stack: Stack, launches: Launches) -> Any:
    """A standing task of this test's own, and launches at it."""
    task_arn = serve(stack)
    target = GrpcServerTarget(stack.address(task_arn), PORT, None, LOCATION)
    with WorkspaceProcessContext(launches.process_context.instance, target) as context:
        yield task_arn, Launches(launches.instance, context)


def test_it_runs_in_the_standing_task_and_the_run_says_where(
    launches: Launches, stack: Stack, standing_task: str, tmp_path: Path
) -> None:
    place = tmp_path / "place.json"
    run = launches.launch(config={"report_to": str(place)})
    assert run_record.read(run).task_arn == standing_task
    assert run_record.read(run).address == f"{stack.address(standing_task)}:{CONTROL_PORT}"
    assert launches.ended(run).status is DagsterRunStatus.SUCCESS
    assert json.loads(place.read_text())["task_arn"] == standing_task
    no_holder(stack)


def test_it_goes_to_the_server_that_the_page_shows_which_ends_by_itself_with_its_task(
    own_server: tuple[str, Launches],
    stack: Stack,
    standing_task: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever the name leads to."""
    task_arn, launches = own_server
    run = launches.create(tags=NON_ISOLATED)
    other = ServerIdentity(standing_task, NOBODY).to_server_id()
    monkeypatch.setattr(DagsterGrpcClient, "get_server_id", lambda *_, **__: other)
    assert run_record.read(launches.submit(run)).task_arn == task_arn
    assert launches.ended(run).status is DagsterRunStatus.SUCCESS
    stack.stop(task_arn)
    # Not 137: it would have been killed after the 5 seconds that it has here.
    assert stack.describe(task_arn)["containers"][0]["exitCode"] == 0


def test_where_the_server_that_the_page_shows_is_gone_the_name_leads_to_the_next(
    launches: Launches, standing_task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = ServerIdentity(standing_task + "0", NOBODY).to_server_id()
    monkeypatch.setattr(GrpcServerCodeLocation, "server_id", gone)
    run = launches.launch()
    assert run_record.read(run).task_arn == standing_task
    assert launches.ended(run).status is DagsterRunStatus.SUCCESS


def test_the_name_is_asked_also_where_the_page_stays_with_the_server_that_is_gone(
    launches: Launches, standing_task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = ServerIdentity(standing_task + "0", NOBODY).to_server_id()
    location: Any = launches.workspace().get_code_location(LOCATION)
    monkeypatch.setattr(GrpcServerCodeLocation, "server_id", gone)
    monkeypatch.setattr(location.client, "get_server_id", lambda *_, **__: gone)
    assert run_record.read(launches.launch()).task_arn == standing_task


def test_cancel_interrupts_it_and_frees_the_slot(
    launches: Launches, stack: Stack, tmp_path: Path
) -> None:
    place = tmp_path / "place.json"
    run = launches.launch(config={"report_to": str(place), "wait_for": str(tmp_path / "never")})
    eventually(place.exists)
    assert [holder.run_id for holder in stack.slots.holders()] == [run.run_id]
    assert launches.instance.run_launcher.terminate(run.run_id)
    assert launches.ended(run).status is DagsterRunStatus.CANCELED
    no_holder(stack)


def test_a_canceled_run_whose_process_dies_of_it_is_canceled(
    launches: Launches, stack: Stack, tmp_path: Path
) -> None:
    place = tmp_path / "place.json"
    run = launches.launch(config={"report_to": str(place), "wait_for": str(tmp_path / "never")})
    eventually(place.exists)
    pid = json.loads(place.read_text())["pid"]
    os.kill(pid, signal.SIGSTOP)
    assert launches.instance.run_launcher.terminate(run.run_id)
    os.kill(pid, signal.SIGKILL)
    assert launches.ended(run).status is DagsterRunStatus.CANCELED
    no_holder(stack)


def test_a_lost_answer_is_asked_for_again_and_the_run_starts_once(
    launches: Launches, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[Any] = []
    start_run = StandingServer.start_run

    def lose_the_first_answer(self: StandingServer, *args: Any) -> Any:
        answers.append(start_run(self, *args))
        if len(answers) == 1:
            raise ServerSilentError("lost")
        return answers[-1]

    monkeypatch.setattr(StandingServer, "start_run", lose_the_first_answer)
    # Nothing but the answer tells: the run's process is slower than the repeated call.
    run = launches.launch()
    assert len(answers) in (1, 2)
    assert launches.ended(run).status is DagsterRunStatus.SUCCESS
    processes = [text for text in launches.events(run) if text.startswith("Started process")]
    assert len(processes) == 1


def test_a_server_that_never_answers_leaves_the_run_where_it_is(
    launches: Launches, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(self: StandingServer, *args: Any) -> Any:
        raise ServerSilentError("silence")

    monkeypatch.setattr(StandingServer, "start_run", silent)
    monkeypatch.setattr(start_run_timers, "RESOLVE_SECONDS", 0)
    run = launches.launch()
    assert run.status is DagsterRunStatus.STARTING
    assert "started nowhere else" in launches.events(run)[-1]
    assert [holder.run_id for holder in stack.slots.holders()] == [run.run_id]
    launches.instance.report_run_failed(run)


def sent_back(launches: Launches, stack: Stack, run: DagsterRun) -> str:
    """The reason of a run that went back to the queue as isolated, without a slot."""
    assert run.status is DagsterRunStatus.QUEUED
    assert run_record.read(run) == run_record.RunTags(kind=Kind.ISOLATED, attempt=1)
    assert launches.events(run)[-1].startswith("This run is isolated after all. ")
    assert stack.slots.holders() == ()
    return run.tags[tag_names.REASON]


def test_a_task_that_ends_before_the_run_begins_sends_it_back(
    own_server: tuple[str, Launches], stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_arn, launches = own_server
    start_run = StandingServer.start_run

    def after_its_end(self: StandingServer, *args: Any) -> Any:
        stack.stop(task_arn)
        return start_run(self, *args)

    monkeypatch.setattr(StandingServer, "start_run", after_its_end)
    later = launches.create(tags=NON_ISOLATED)
    run = launches.launch()
    assert f"It ended before the run began. Its standing task {task_arn}" in sent_back(
        launches, stack, run
    )

    # The name's server does not answer: nothing was started, so nothing is waited for. (An address
    # that is given back swallows what is sent to it.)
    monkeypatch.setattr(start_run_timers, "ASK_SECONDS", 1)
    assert "did not take it" in sent_back(launches, stack, launches.submit(later))


def test_a_run_that_cannot_be_forked_is_isolated_at_once_and_the_next_one_is_hosted(
    own_server: tuple[str, Launches], stack: Stack
) -> None:
    """Here for want of descriptors, as it may be for want of a process, of memory or of a disk."""
    task_arn, launches = own_server
    forks = template_at(stack.address(task_arn))
    before = forks.rlimit(psutil.RLIMIT_NOFILE)
    forks.rlimit(psutil.RLIMIT_NOFILE, (0, before[1]))
    begun = time.monotonic()
    run = launches.launch()
    assert "could not be started: NotForkedError" in sent_back(launches, stack, run)
    assert time.monotonic() - begun < SOON_SECONDS
    forks.rlimit(psutil.RLIMIT_NOFILE, before)
    assert launches.ended(launches.launch()).status is DagsterRunStatus.SUCCESS
    no_holder(stack)


def template_at(address: str) -> psutil.Process:
    """The process that forks the runs of the server at this address."""
    servers = {
        one.pid
        for one in psutil.net_connections("tcp")
        # The address may be written as one of IPv6.
        if one.laddr and (one.laddr.ip.rpartition(":")[2], one.laddr.port) == (address, PORT)
        if one.status == psutil.CONN_LISTEN and one.pid
    }
    children = (child for server in servers for child in psutil.Process(server).children())
    return next(child for child in children if child.name() == template.NAME)


def test_a_server_that_shuts_down_refuses_and_the_run_is_isolated(
    own_server: tuple[str, Launches], stack: Stack, tmp_path: Path
) -> None:
    task_arn, launches = own_server
    go, place = tmp_path / "go", tmp_path / "place.json"
    going_on = launches.launch(config={"report_to": str(place), "wait_for": str(go)})
    eventually(place.exists)
    with grpc.insecure_channel(f"{stack.address(task_arn)}:{PORT}") as channel:
        DagsterApiStub(channel).ShutdownServer(dagster_api_pb2.Empty())  # type: ignore[no-untyped-call]
    stack.slots.release(going_on.run_id, 1)
    run = launches.launch()
    assert "It is shutting down." in sent_back(launches, stack, run)
    # What is going on ends in its own time, and its server after it.
    go.touch()
    assert launches.ended(going_on).status is DagsterRunStatus.SUCCESS
    eventually(lambda: stack.describe(task_arn)["lastStatus"] == "STOPPED")


def test_a_server_that_is_not_ours_takes_no_run(
    launches: Launches, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ServerIdentity, "from_server_id", lambda server_id: None)
    assert "not `run-isolation code-server`" in sent_back(launches, stack, launches.launch())


def test_a_run_canceled_before_its_process_gets_none(launches: Launches, stack: Stack) -> None:
    run = launches.create()
    assert isinstance(stack.slots.acquire(Holder(run.run_id, 1, LOCATION)), Acquired)
    run_record.write(launches.instance, run, kind=Kind.NON_ISOLATED, attempt=1)
    launches.instance.report_run_canceling(run)
    context = LaunchRunContext(launches.read(run), launches.workspace())
    launches.instance.run_launcher.launch_run(context)
    assert launches.read(run).status is DagsterRunStatus.CANCELED
    assert stack.slots.holders() == ()


class TestHealth:
    def hosted(self, launches: Launches, *, task_arn: str, address: str) -> DagsterRun:
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

    def check(self, launches: Launches, run: DagsterRun) -> tuple[WorkerStatus, str]:
        result = launches.instance.run_launcher.check_run_worker_health(run)
        return result.status, result.msg or ""

    def test_of_a_run_that_is_going_on_and_is_then_killed(
        self, launches: Launches, stack: Stack, tmp_path: Path
    ) -> None:
        place = tmp_path / "place.json"
        run = launches.launch(config={"report_to": str(place), "wait_for": str(tmp_path / "never")})
        eventually(place.exists)
        assert self.check(launches, launches.read(run))[0] is WorkerStatus.RUNNING
        os.kill(json.loads(place.read_text())["pid"], signal.SIGKILL)
        assert launches.ended(run).status is DagsterRunStatus.FAILURE
        no_holder(stack)

    def test_of_a_run_that_its_server_disowns(
        self, launches: Launches, stack: Stack, standing_task: str
    ) -> None:
        address = f"{stack.address(standing_task)}:{CONTROL_PORT}"
        run = self.hosted(launches, task_arn=standing_task, address=address)
        status, message = self.check(launches, run)
        assert status is WorkerStatus.FAILED
        assert "process has ended" in message

    def test_of_a_run_whose_address_another_task_has_now(
        self, launches: Launches, stack: Stack, standing_task: str
    ) -> None:
        address = f"{stack.address(standing_task)}:{CONTROL_PORT}"
        run = self.hosted(launches, task_arn=standing_task + "0", address=address)
        assert self.check(launches, run)[0] is WorkerStatus.FAILED

    def test_of_a_silent_server_whose_task_is_there(
        self, launches: Launches, standing_task: str
    ) -> None:
        run = self.hosted(launches, task_arn=standing_task, address=NOBODY)
        assert self.check(launches, run)[0] is WorkerStatus.RUNNING

    def test_of_a_silent_server_whose_task_has_stopped(
        self, launches: Launches, stack: Stack
    ) -> None:
        task_arn = stack.run_task(stack.register("dead", ["false"]))
        eventually(lambda: stack.describe(task_arn)["lastStatus"] == "STOPPED")
        run = self.hosted(launches, task_arn=task_arn, address=NOBODY)
        status, message = self.check(launches, run)
        assert status is WorkerStatus.FAILED
        assert "exit code 1" in message

    def test_cancel_of_a_run_whose_task_has_stopped_ends_it(
        self, launches: Launches, stack: Stack
    ) -> None:
        task_arn = stack.run_task(stack.register("dead", ["false"]))
        eventually(lambda: stack.describe(task_arn)["lastStatus"] == "STOPPED")
        run = self.hosted(launches, task_arn=task_arn, address=NOBODY)
        stack.slots.acquire(Holder(run.run_id, 1, LOCATION))
        assert launches.instance.run_launcher.terminate(run.run_id)
        assert launches.read(run).status is DagsterRunStatus.CANCELED
        assert stack.slots.holders() == ()

    def test_cancel_at_a_silent_server_whose_task_is_there_is_an_error(
        self, launches: Launches, standing_task: str
    ) -> None:
        run = self.hosted(launches, task_arn=standing_task, address=NOBODY)
        with pytest.raises(ServerSilentError):
            launches.instance.run_launcher.terminate(run.run_id)
