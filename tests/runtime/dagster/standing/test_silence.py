"""A server whose runs, or whose storage, say nothing answers whatever needs none of them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
import psutil
import pytest
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._grpc.__generated__ import dagster_api_pb2
from dagster._grpc.__generated__.dagster_api_pb2_grpc import DagsterApiStub
from dagster._grpc.types import CancelExecutionRequest, ExecuteExternalJobArgs
from dagster._serdes import serialize_value
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

from run_isolation.dagster.standing.listeners import SERVICE
from tests.code_server.runs import new_home
from tests.runtime.dagster.standing import silent_storage
from tests.runtime.dagster.warm.server import LOCATION, CodeServer, report
from tests.waiting import eventually

CHECKOUT: Final = Path(__file__).parents[4]
RUNS: Final = min(32, (os.cpu_count() or 1) + 4) + 2
"""More than the threads of Dagster's own server."""
AT_ONCE_SECONDS: Final = 5.0
"""A server that waits does so for a minute; one on a busy machine takes a moment."""


@dataclass(frozen=True)
class Place:
    """A server, and a storage that can be silenced."""

    server: CodeServer
    silent: Path

    @property
    def stub(self) -> Any:
        channel = grpc.insecure_channel(f"127.0.0.1:{self.server.client.port}")
        return DagsterApiStub(channel)  # type: ignore[no-untyped-call]

    @contextmanager
    def silence(self) -> Iterator[None]:
        self.silent.touch()
        try:
            yield
        finally:
            self.silent.unlink()

    def ask_for(self, run: DagsterRun) -> grpc.StatusCode:
        """What became of a StartRun whose caller waits for half a second."""
        arguments = ExecuteExternalJobArgs(
            job_origin=self.server.origin("look_job"),
            run_id=run.run_id,
            instance_ref=self.server.instance.get_ref(),
        )
        text = serialize_value(arguments)
        request = dagster_api_pb2.StartRunRequest(serialized_execute_run_args=text)
        try:
            self.stub.StartRun(request, timeout=0.5)
        except grpc.RpcError as error:
            return error.code()
        return grpc.StatusCode.OK

    def answers(self) -> None:
        """All that needs no storage is answered at once."""
        client, stub = self.server.client, self.stub
        channel = grpc.insecure_channel(f"127.0.0.1:{client.port}")
        check = health_pb2.HealthCheckRequest(service=SERVICE)
        calls: dict[str, Callable[[], object]] = {
            "health": lambda: HealthStub(channel).Check(check, timeout=AT_ONCE_SECONDS),
            "id": lambda: stub.GetServerId(dagster_api_pb2.Empty(), timeout=AT_ONCE_SECONDS),
            "runs": lambda: stub.GetCurrentRuns(dagster_api_pb2.Empty(), timeout=AT_ONCE_SECONDS),
            "cancel": lambda: client.cancel_execution(CancelExecutionRequest(run_id="another")),
            "definitions": client.list_repositories,
        }
        for name, call in calls.items():
            begun = time.monotonic()
            call()
            assert time.monotonic() - begun < AT_ONCE_SECONDS, name


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    silent = tmp_path / "silent"
    storage = {
        "custom": {
            "module": silent_storage.__name__,
            "class": "SilentStorage",
            "config": {"base_dir": str(tmp_path / "storage"), "silent_while": str(silent)},
        }
    }
    home = new_home(tmp_path / "home", storage)
    path = os.pathsep.join([str(LOCATION), str(CHECKOUT)])
    with (
        DagsterInstance.from_config(str(home)) as instance,
        CodeServer.running(tmp_path, instance, PYTHONPATH=path) as server,
    ):
        yield Place(server, silent)


def test_runs_that_say_nothing_hold_nobody_up(place: Place) -> None:
    runs = [place.server.create() for _ in range(RUNS)]
    with place.silence():
        with ThreadPoolExecutor(RUNS) as pool:
            codes = set(pool.map(place.ask_for, runs))
        assert codes <= {grpc.StatusCode.ALREADY_EXISTS, grpc.StatusCode.DEADLINE_EXCEEDED}
        place.answers()
        eventually(lambda: set(place.server.current_runs()) == {run.run_id for run in runs})
    # Their outcome was not known, and nothing was lost by it.
    assert [place.server.ended(run).status for run in runs] == [DagsterRunStatus.SUCCESS] * RUNS


def test_while_the_end_of_a_run_cannot_be_told_nobody_waits_for_it(
    place: Place, tmp_path: Path
) -> None:
    run = place.server.start(report_to=str(tmp_path / "r"), wait_for=str(tmp_path / "never"))
    pid = report(tmp_path / "r")["pid"]
    with place.silence():
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not psutil.pid_exists(pid))
        # Longer than the pause between two looks of the server.
        for _ in range(4):
            place.answers()
            time.sleep(0.25)
        assert place.server.current_runs() == [run.run_id]
    assert place.server.ended(run).status is DagsterRunStatus.FAILURE


def test_a_template_without_descriptors_refuses_a_run_and_starts_the_next_one(
    place: Place,
) -> None:
    template = place.server.template()
    assert template is not None
    before = template.rlimit(psutil.RLIMIT_NOFILE)
    template.rlimit(psutil.RLIMIT_NOFILE, (0, before[1]))
    refused = place.server.create()
    begun = time.monotonic()
    result = place.server.ask(refused)
    assert not result.success
    assert time.monotonic() - begun < AT_ONCE_SECONDS
    assert place.server.current_runs() == []
    template.rlimit(psutil.RLIMIT_NOFILE, before)
    assert place.server.ended(place.server.start()).status is DagsterRunStatus.SUCCESS


def test_a_template_without_descriptors_outlives_the_end_of_a_run(
    place: Place, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    run = place.server.start(report_to=str(tmp_path / "r"), wait_for=str(go))
    report(tmp_path / "r")
    template = place.server.template()
    assert template is not None
    before = template.rlimit(psutil.RLIMIT_NOFILE)
    # Fewer than it waits for would be another trouble: poll(2) refuses that.
    template.rlimit(psutil.RLIMIT_NOFILE, (2, before[1]))
    go.touch()
    assert place.server.ended(run).status is DagsterRunStatus.SUCCESS
    template.rlimit(psutil.RLIMIT_NOFILE, before)
    assert place.server.ended(place.server.start()).status is DagsterRunStatus.SUCCESS
    assert template.status() != psutil.STATUS_ZOMBIE
