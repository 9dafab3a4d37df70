"""A redeploy while non-isolated runs go on: real servers in a service's old and new task."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from dagster import DagsterRun, DagsterRunStatus
from dagster._core.launcher import WorkerStatus
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import GrpcServerTarget

from run_isolation import Acquired, Holder, NonIsolatedRuns
from run_isolation.dagster import run_record
from run_isolation.dagster.standing.client import ServerDrainingError, StandingServer
from run_isolation.server_identity import ServerIdentity
from tests.runtime.dagster.account import CONTROL_PORT, LOCATION, PORT, Stack
from tests.runtime.dagster.launches import Launches
from tests.runtime.dagster.service import Service
from tests.waiting import eventually

pytestmark = pytest.mark.e2e

LOOK_SECONDS = 40
"""Until a server that hosts runs has noticed a redeploy; it looks every 10 seconds."""


@pytest.fixture
def service(stack: Stack, home: Path) -> Iterator[Service]:
    # After `home`: a server that is slow to start makes the storage that `home` copies.
    service = Service(stack)
    service.create()
    yield service
    stack.account.change(health_lag_seconds=3)
    service.delete()


@dataclass
class Held:
    """A run that goes on until it is let go."""

    launches: Launches
    directory: Path
    name: str

    def launch(self) -> Held:
        self.run = self.launches.launch(
            config={"report_to": str(self._place), "wait_for": str(self._go)}
        )
        return self

    @property
    def _place(self) -> Path:
        return self.directory / f"{self.name}.json"

    @property
    def _go(self) -> Path:
        return self.directory / f"{self.name}.go"

    def task(self) -> str:
        eventually(self._place.exists)
        return str(json.loads(self._place.read_text())["task_arn"])

    def finish(self) -> DagsterRunStatus:
        self._go.touch()
        return self.launches.ended(self.run).status


def start(launches: Launches, run: DagsterRun, server: ServerIdentity) -> bool:
    assert run.remote_job_origin is not None
    result = StandingServer(server.address).start_run(
        launches.instance, run, run.remote_job_origin, server, attempt=1
    )
    return bool(result.success)


def test_runs_last_through_a_redeploy_and_new_ones_go_to_the_new_task(
    service: Service, launches: Launches, stack: Stack, tmp_path: Path
) -> None:
    old = service.healthy_task()
    server = ServerIdentity(old, f"{stack.address(old)}:{CONTROL_PORT}")
    stack.configure(NonIsolatedRuns(enabled=True, max_concurrent_non_isolated_runs=4))
    target = GrpcServerTarget(service.host, PORT, None, LOCATION)
    launcher = launches.instance.run_launcher
    with WorkspaceProcessContext(launches.process_context.instance, target) as context:
        launches = Launches(launches.instance, context)
        lasting = Held(launches, tmp_path, "lasting").launch()
        canceled = Held(launches, tmp_path, "canceled").launch()
        assert (lasting.task(), canceled.task()) == (old, old)
        assert service.protects(old)

        # ECS knows that the new task is healthy, Cloud Map does not: the name leads to the old one.
        stack.account.change(health_lag_seconds=3600)
        new = service.redeploy()
        eventually(
            lambda: "GetInstancesHealthStatus" in service.calls_of(old), seconds=LOOK_SECONDS
        )
        assert service.answers_at(old)
        service.name_leads_to(new)
        eventually(lambda: not service.answers_at(old), seconds=LOOK_SECONDS)
        assert stack.describe(old)["lastStatus"] == "RUNNING"
        assert service.protects(old)

        # It starts nothing more, and knows what it has started.
        late = launches.create()
        assert isinstance(stack.slots.acquire(Holder(late.run_id, 1, LOCATION)), Acquired)
        with pytest.raises(ServerDrainingError, match=f"Task {new} has taken its place"):
            start(launches, late, server)
        assert start(launches, lasting.run, server)
        stack.slots.release(late.run_id, 1)

        # By name, to the new one.
        after = Held(launches, tmp_path, "after").launch()
        assert after.task() == new

        # By address, to the old one.
        runs = {lasting.run.run_id, canceled.run.run_id}
        assert StandingServer(server.address).current_runs(old) == runs
        health = launcher.check_run_worker_health(launches.read(lasting.run))
        assert health.status is WorkerStatus.RUNNING
        assert launcher.terminate(canceled.run.run_id)
        assert launches.ended(canceled.run).status is DagsterRunStatus.CANCELED
        assert stack.describe(old)["lastStatus"] == "RUNNING"

        assert lasting.finish() is DagsterRunStatus.SUCCESS
        eventually(lambda: stack.describe(old)["lastStatus"] == "STOPPED")
        assert stack.describe(old)["stopCode"] == "ServiceSchedulerInitiated"
        # By itself, within the 5 seconds that it has here, though it was told to.
        assert stack.describe(old)["containers"][0]["exitCode"] == 0
        assert "once all current RPC calls terminate or 105 seconds" in stack.output(
            "standing", old
        )
        assert [holder.run_id for holder in stack.slots.holders()] == [after.run.run_id]
        assert after.finish() is DagsterRunStatus.SUCCESS
        eventually(lambda: stack.slots.holders() == ())


def test_a_launch_that_meets_a_draining_server_asks_the_name_again(
    launches: Launches,
    standing_task: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The name leads to the fixture's server; at first it led to another one.
    gone = ServerIdentity(standing_task + "0", "127.0.0.1:9")
    answers = iter([gone.to_server_id()])
    read = ServerIdentity.from_server_id
    monkeypatch.setattr(
        ServerIdentity, "from_server_id", lambda server_id: read(next(answers, server_id))
    )
    start_run = StandingServer.start_run

    def drains(self: StandingServer, *args: object) -> object:
        if self._address == gone.address:
            raise ServerDrainingError("Task new has taken its place.")
        return start_run(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(StandingServer, "start_run", drains)
    run = launches.launch()
    assert run_record.read(run).task_arn == standing_task
    assert launches.ended(run).status is DagsterRunStatus.SUCCESS
