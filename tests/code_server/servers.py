"""Code servers as real processes: ours, warm or not, and Dagster's own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import grpc
from dagster._grpc.client import DagsterGrpcClient
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

from run_isolation.dagster.standing.listeners import SERVICE
from tests.code_server.container import Container, Limits, container
from tests.runtime.task_endpoint import endpoint
from tests.waiting import eventually
from tools.ports import free_port

BIN: Final = Path(sys.prefix) / "bin"
ADDRESS: Final = "127.0.0.1"
METADATA: Final = "ECS_CONTAINER_METADATA_URI_V4"
TASK: Final = {
    "TaskARN": "arn:aws:ecs:us-east-1:123456789012:task/run-isolation-test/0123",
    "Containers": [{"Networks": [{"IPv4Addresses": [ADDRESS]}]}],
}
READY_SECONDS: Final = 180
HEALTH_SECONDS: Final = 20
STOP_SECONDS: Final = 60


@dataclass(frozen=True)
class Kind:
    """A program that serves code locations.

    Attributes:
        name: In tables and ids of tests.
        command: Program and its own options.
        ours: Whether it knows ECS tasks.
    """

    name: str
    command: tuple[str, ...]
    ours: bool


WARM: Final = Kind("ours", (str(BIN / "run-isolation"), "code-server"), ours=True)
SPAWNING: Final = Kind("ours, no warm start", (*WARM.command, "--no-warm-start"), ours=True)
DAGSTER: Final = Kind("dagster api grpc", (str(BIN / "dagster"), "api", "grpc"), ours=False)


@dataclass
class CodeServer:
    """A server that serves.

    Attributes:
        kind: Which program.
        port: Public port at ADDRESS.
        control_port: The one that stays; the public one for servers outside of a task.
        process: The program.
        container: What it and its children are in.
        log: All that they have written.
        began: Wall clock when the program was started, in seconds since the epoch.
    """

    kind: Kind
    port: int
    control_port: int
    process: subprocess.Popen[bytes]
    container: Container
    log: Path
    began: float
    client: DagsterGrpcClient = field(init=False)

    def __post_init__(self) -> None:
        self.client = DagsterGrpcClient(host=ADDRESS, port=self.port)

    @property
    def alive(self) -> bool:
        """Whether its first process has not ended."""
        return self.process.poll() is None

    def said(self) -> str:
        """All that its processes have written."""
        return self.log.read_text(errors="replace")

    def is_healthy(self) -> bool:
        """What a container's health check learns (dagster/_cli/api.py, ``grpc-health-check``)."""
        request = health_pb2.HealthCheckRequest(service=SERVICE)
        try:
            with grpc.insecure_channel(f"{ADDRESS}:{self.control_port}") as channel:
                answer = HealthStub(channel).Check(request, timeout=HEALTH_SECONDS)
        except grpc.RpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


@contextmanager
def serving(
    kind: Kind,
    directory: Path,
    target: Sequence[str],
    log: Path,
    *,
    limits: Limits | None = None,
    task: Mapping[str, Any] | bool = False,
    environment: Mapping[str, str] | None = None,
    ready: Callable[[CodeServer], bool] = CodeServer.is_healthy,
) -> Iterator[CodeServer]:
    """Starts a server and waits until it serves; ends all of it.

    Args:
        kind: Which program.
        directory: Of the code location: working directory and on Python's path.
        target: Options that name the code location.
        log: File for what it writes.
        limits: Of its container; None for no control group.
        task: Whether it believes to be in an ECS task, or which one. Dagster's own does not care.
        environment: More variables.
        ready: Whether it is, asked again and again.
    """
    port = free_port(together=2)
    with ExitStack() as exits:
        inside = exits.enter_context(container(limits))
        variables = _environment(directory) | dict(inside.environment) | dict(environment or {})
        options = ["--port", str(port), *target]
        if task and kind.ours:
            variables[METADATA] = exits.enter_context(endpoint(TASK if task is True else task))
        else:
            options += ["--host", ADDRESS]
        began = time.time()
        process = exits.enter_context(
            _running(inside.enter([*kind.command, *options]), directory, variables, log)
        )
        control_port = port + 1 if task and kind.ours else port
        server = CodeServer(kind, port, control_port, process, inside, log, began)
        eventually(lambda: _serves(server, ready), lambda: server.said()[-5000:], READY_SECONDS)
        yield server


def _serves(server: CodeServer, ready: Callable[[CodeServer], bool]) -> bool:
    assert server.alive, server.said()
    return ready(server)


@contextmanager
def _running(
    command: list[str], directory: Path, environment: Mapping[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _environment(directory: Path) -> dict[str, str]:
    """This process's own, without a task, with the code location on Python's path."""
    path = os.pathsep.join(filter(None, [str(directory), os.environ.get("PYTHONPATH", "")]))
    dropped = {METADATA, "ECS_AGENT_URI", "DAGSTER_HOME"}
    inherited = {name: value for name, value in os.environ.items() if name not in dropped}
    return inherited | {"PYTHONPATH": path, "DAGSTER_DISABLE_TELEMETRY": "yes"}
