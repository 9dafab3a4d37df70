"""For what a launch waits that finds all slots held, or its server silent."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest
from dagster import DagsterRun, DagsterRunStatus
from dagster._core.remote_representation.code_location import GrpcServerCodeLocation
from dagster._core.storage.tags import BACKFILL_ID_TAG

from run_isolation import Holder, NonIsolatedRuns
from run_isolation.dagster import run_record
from run_isolation.dagster.reconciler_sources import StandingServers
from run_isolation.dagster.standing.client import StandingServer
from run_isolation.server_identity import ServerIdentity
from run_isolation.slots.decision import Kind
from run_isolation.start_run_timers import AUTOMATED_SECONDS, LEFT_TO_WATCHER_SECONDS
from tests.runtime.dagster.account import LOCATION, Stack
from tests.runtime.dagster.launches import NON_ISOLATED, Launches

TASK = "arn:aws:ecs:us-east-1:000000000000:task/run-isolation-test/1"
SERVER = ServerIdentity(TASK, "192.0.2.1:4000")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[ServerIdentity]:
    """The servers that are asked for their runs; none of them answers."""
    asked: list[ServerIdentity] = []
    monkeypatch.setattr(StandingServers, "current_runs", lambda self, server: asked.append(server))
    return asked


def hosted_over(launches: Launches, stack: Stack) -> DagsterRun:
    """A run that has just ended, and whose process the server may still have."""
    run = launches.create()
    launches.instance.report_run_failed(run)
    stack.slots.acquire(Holder(run.run_id, 1, LOCATION))
    assert stack.slots.host(run.run_id, 1, SERVER)
    return run


def test_a_denied_launch_never_waits_for_a_process_that_nobody_expects_to_end(
    launches: Launches, stack: Stack, asked: list[ServerIdentity]
) -> None:
    """Its run was deleted. The reconciler has its server end it, and no launch waits for that."""
    gone = hosted_over(launches, stack)
    launches.instance.delete_run(gone.run_id)
    stack.account.forget()
    run = launches.launch()
    assert run_record.read(run).kind is Kind.ISOLATED
    assert asked == []
    # It has asked for a slot once: whoever waits asks five times a second.
    assert stack.account.calls().count("UpdateItem") == 1


def test_an_automated_launch_waits_for_nothing(
    launches: Launches, stack: Stack, asked: list[ServerIdentity]
) -> None:
    """It is made in a thread of the daemon's, in which all others wait."""
    stack.configure(NonIsolatedRuns(enabled=True, allow_automated=True))
    hosted_over(launches, stack)
    run = launches.create(tags=NON_ISOLATED | {BACKFILL_ID_TAG: "abc"})
    stack.account.forget()
    run = launches.submit(run, source=None)
    assert run_record.read(run).kind is Kind.ISOLATED
    assert asked == []
    assert stack.account.calls().count("UpdateItem") == 1


def test_an_automated_launch_leaves_a_silent_server_to_the_watcher(
    launches: Launches, stack: Stack, standing_task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.configure(NonIsolatedRuns(enabled=True, allow_automated=True))
    run = launches.create(tags=NON_ISOLATED | {BACKFILL_ID_TAG: "abc"})
    waited: list[float] = []
    start = StandingServer.start_run

    def note(server: StandingServer, *args: Any) -> Any:
        waited.append(args[-1])
        return start(server, *args)

    monkeypatch.setattr(StandingServer, "start_run", note)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = ServerIdentity(standing_task, "{}:{}".format(*silent.getsockname()))
        monkeypatch.setattr(GrpcServerCodeLocation, "server_id", server.to_server_id())
        run = launches.submit(run, source=None)
    # A second of the thread at most, with all else.
    assert waited == [AUTOMATED_SECONDS]
    assert AUTOMATED_SECONDS <= 0.5
    assert run.status is DagsterRunStatus.STARTING
    assert run_record.read(run).address == server.address
    wait = run_record.read(run).wait
    assert wait is not None
    assert 0 < wait.until - time.time() <= LEFT_TO_WATCHER_SECONDS
    assert stack.slots.holders()[0].hosted_by is None


def test_a_launch_by_hand_is_left_to_nobody(launches: Launches) -> None:
    run = launches.launch()
    assert run_record.read(run).wait is None
    launches.ended(run)
