"""Pulumi's Python language host for tests of deployments: its programs are forked, not started.

The engine is the real one, and so is the script that runs a program; what is spared are the
program's and the host's imports, four CPU seconds each time. `tests/tools` tests the host that
users get.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, language_pb2, language_pb2_grpc

from tests.deployment.stack import PROJECT
from tools.pulumi_cli import PulumiCli
from tools.pulumi_cli.build import EXECUTOR
from tools.pulumi_cli.host import LanguageHost

Environments = Callable[[str], Mapping[str, str]]
"""What the engine of a stack has in its environment, by the stack's name."""


@dataclass(frozen=True)
class Warm:
    """Where programs are forked, and what runs them there."""

    socket: Path
    executor: str
    environments: Environments


class ForkingHost(LanguageHost):
    """Runs programs for one engine.

    Args:
        warm: Where.
        engine_address: The engine's.
        environment: The engine's, which a host that it starts itself would inherit.
    """

    def __init__(self, warm: Warm, engine_address: str, environment: Mapping[str, str]) -> None:
        super().__init__(warm.executor, engine_address)
        self._socket = warm.socket
        self._environment = environment
        self._connection = socket.socket(socket.AF_UNIX)

    def end(self) -> None:
        """The engine does not wait for the program any more: it may have been killed."""
        with suppress(OSError):  # the program has ended, or has not begun
            self._connection.shutdown(socket.SHUT_RDWR)

    def execute(self, python: str, arguments: list[str], environment: dict[str, str]) -> int:
        """Has it forked. What it prints is told to the engine at its end."""
        asked = {"arguments": arguments, "environment": {**environment, **self._environment}}
        reader, writer = os.pipe()
        with self._connection as connection, os.fdopen(reader) as output:
            connection.connect(str(self._socket))
            socket.send_fds(connection, [b"\n"], [writer])
            os.close(writer)
            connection.sendall(f"{json.dumps(asked)}\n".encode())
            said = output.read()
            with connection.makefile() as lines:
                answer = lines.readline()
        if said:
            self._tell_engine(said)
        # Where it died, there is none.
        return int(answer or 1)

    def _tell_engine(self, text: str) -> None:
        with grpc.insecure_channel(self._engine_address) as channel:
            engine_pb2_grpc.EngineStub(channel).Log(
                engine_pb2.LogRequest(severity=engine_pb2.LogSeverity.INFO, message=text)
            )


class WarmHost(LanguageHost):
    """Serves all engines that attach to it; each says where it is."""

    def __init__(self, warm: Warm) -> None:
        super().__init__(warm.executor, engine_address="")
        self._warm = warm
        self._engines: dict[str, str] = {}
        """Addresses of engines, by their connections."""

    def Handshake(  # noqa: N802
        self, request: language_pb2.LanguageHandshakeRequest, context: grpc.ServicerContext
    ) -> language_pb2.LanguageHandshakeResponse:
        self._engines[context.peer()] = request.engine_address
        return super().Handshake(request, context)

    def Run(  # noqa: N802
        self, request: language_pb2.RunRequest, context: grpc.ServicerContext
    ) -> language_pb2.RunResponse:
        engine = self._engines[context.peer()]
        environment = self._warm.environments(request.stack)
        host = ForkingHost(self._warm, engine, environment)
        if not context.add_callback(host.end):
            return language_pb2.RunResponse(bail=True)
        return host.Run(request, context)

    def Cancel(  # noqa: N802
        self, request: empty_pb2.Empty, context: grpc.ServicerContext
    ) -> empty_pb2.Empty:
        """A program ends with its engine."""
        return empty_pb2.Empty()


@contextmanager
def warm_host(cli: PulumiCli, environments: Environments) -> Iterator[dict[str, str]]:
    """What an engine needs in its environment to use it: nothing where it can't be had."""
    executor = next((path for path in _places(cli) if path.exists()), None)
    if executor is None:
        yield {}
        return
    with ExitStack() as exits:
        # The address of a socket is short; pytest's directories need not be.
        place = Path(exits.enter_context(tempfile.TemporaryDirectory())) / "programs"
        programs = subprocess.Popen(
            [sys.executable, "-m", "tests.deployment.warm_programs", str(place)],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        exits.callback(programs.communicate)
        assert programs.stdout
        assert programs.stdout.readline() == "ready\n", "the process of warm programs has died"
        server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
        host = WarmHost(Warm(place, str(executor), environments))
        language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        exits.callback(server.stop, grace=None)
        yield {"PULUMI_DEBUG_LANGUAGES": f"python:{port}"}


def _places(cli: PulumiCli) -> list[Path]:
    """Where the script that runs programs may be: of an official CLI, or of one built here."""
    directory = cli.executable.resolve().parent
    return [directory / EXECUTOR, directory.parents[1] / EXECUTOR]
