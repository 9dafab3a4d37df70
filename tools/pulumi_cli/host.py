"""The Python language host of a CLI that was built here.

The engine starts this program, reads the port that it prints, and asks it to run the Pulumi
program. Official installs bring a host in Go, which no module proxy serves: the directory
sdk/python/cmd/pulumi-language-python of github.com/pulumi/pulumi. This one does what that one does
for `preview`, `up`, `refresh`, `destroy`, `config` and `about`: it runs the program with the
official executor script, in the virtual environment that Pulumi.yaml names. It installs no
dependencies and generates no code.

It ends with the engine that started it, however that ends, and the program ends with it. The
official one asks every five minutes whether the engine lives: go/common/util/rpcutil/health.go of
github.com/pulumi/pulumi/sdk/v3.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import signal
import subprocess
import sys
import threading
from concurrent import futures
from pathlib import Path

_running = threading.Event()
"""Whether a program runs."""


def _leave(*_: object) -> None:
    if _running.is_set():
        # It may take no notice of a signal, and a thread of ours waits for it.
        _end_group()
    sys.exit(0)


def _end_group() -> None:
    """End this process and the program, with all that it has started."""
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    # The engine ends its plugins with SIGINT, at times while they still import.
    signal.signal(signal.SIGINT, _leave)
    signal.signal(signal.SIGTERM, _leave)

import grpc  # noqa: E402
from google.protobuf import empty_pb2, json_format  # noqa: E402
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2  # noqa: E402

# The executor ends so where it has shown the error itself: its own source, and main.go of the host.
ERROR_WAS_SHOWN = 32

# Runs a command that SIGKILL ends when its parent ends: prctl(2), PR_SET_PDEATHSIG. Its parent is
# the thread that started it, and waits for it.
TIED = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):
    """Runs Python programs for the engine at `engine_address`."""

    def __init__(self, executor: str, engine_address: str) -> None:
        self._executor = executor
        self._engine_address = engine_address

    def Handshake(  # noqa: N802
        self, request: language_pb2.LanguageHandshakeRequest, context: grpc.ServicerContext
    ) -> language_pb2.LanguageHandshakeResponse:
        """Tell the engine that this host is ready."""
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(  # noqa: N802
        self, request: empty_pb2.Empty, context: grpc.ServicerContext
    ) -> plugin_pb2.PluginInfo:
        """This host has the version of the CLI that it was made for, so it gives none."""
        return plugin_pb2.PluginInfo()

    def GetRequiredPackages(  # noqa: N802
        self, request: language_pb2.GetRequiredPackagesRequest, context: grpc.ServicerContext
    ) -> language_pb2.GetRequiredPackagesResponse:
        """Ask for no download: provider plugins are attached, or already installed."""
        return language_pb2.GetRequiredPackagesResponse()

    def RuntimeOptionsPrompts(  # noqa: N802
        self, request: language_pb2.RuntimeOptionsRequest, context: grpc.ServicerContext
    ) -> language_pb2.RuntimeOptionsResponse:
        """Ask the user nothing."""
        return language_pb2.RuntimeOptionsResponse()

    def About(  # noqa: N802
        self, request: language_pb2.AboutRequest, context: grpc.ServicerContext
    ) -> language_pb2.AboutResponse:
        """The interpreter that `pulumi about` shows."""
        python = interpreter(request.info)
        version = _output(python, "-c", "import platform; print(platform.python_version())")
        return language_pb2.AboutResponse(executable=python, version=version.strip())

    def GetProgramDependencies(  # noqa: N802
        self, request: language_pb2.GetProgramDependenciesRequest, context: grpc.ServicerContext
    ) -> language_pb2.GetProgramDependenciesResponse:
        """The installed packages that `pulumi about` shows."""
        only_direct = [] if request.transitiveDependencies else ["--not-required"]
        listing = _output(
            interpreter(request.info), "-m", "pip", "list", "--format=json", *only_direct
        )
        return language_pb2.GetProgramDependenciesResponse(
            dependencies=[
                language_pb2.DependencyInfo(name=package["name"], version=package["version"])
                for package in json.loads(listing)
            ]
        )

    def Run(  # noqa: N802
        self, request: language_pb2.RunRequest, context: grpc.ServicerContext
    ) -> language_pb2.RunResponse:
        """Run the program. What it prints goes to the engine through this process's own streams."""
        try:
            python = interpreter(request.info)
        except FileNotFoundError as error:
            return language_pb2.RunResponse(error=str(error))
        environment = {
            **os.environ,
            "PULUMI_CONFIG": json.dumps(dict(request.config)),
            "PULUMI_CONFIG_SECRET_KEYS": json.dumps(list(request.configSecretKeys)),
        }
        code = self.execute(python, [self._executor, *self._arguments(request)], environment)
        if code == 0:
            return language_pb2.RunResponse()
        if code == ERROR_WAS_SHOWN:
            return language_pb2.RunResponse(bail=True)
        return language_pb2.RunResponse(error=f"Program exited with non-zero exit code: {code}")

    def execute(self, python: str, arguments: list[str], environment: dict[str, str]) -> int:
        """Run a script with its arguments to its end; return its exit code."""
        tied = [sys.executable, "-I", "-S", "-c", TIED, str(os.getpid())]
        _running.set()
        try:
            command = [*tied, python, "-u", *arguments]
            return subprocess.run(command, env=environment, check=False).returncode
        finally:
            _running.clear()

    def _arguments(self, request: language_pb2.RunRequest) -> list[str]:
        options = {
            "monitor": request.monitor_address,
            "engine": self._engine_address,
            "project": request.project,
            "stack": request.stack,
            "pwd": request.info.program_directory,
            "root_directory": request.info.root_directory,
            "dry_run": "true" if request.dryRun else "false",
            "parallel": str(request.parallel),
            "organization": request.organization,
        }
        given = [part for key, value in options.items() if value for part in (f"--{key}", value)]
        return [*given, request.info.entry_point, *request.args]


def interpreter(info: language_pb2.ProgramInfo) -> str:
    """The Python of the project's virtual environment; this process's own where it names none.

    Raises:
        FileNotFoundError: Pulumi.yaml names a virtual environment that does not exist.
    """
    virtualenv = json_format.MessageToDict(info.options).get("virtualenv")
    if not virtualenv:
        return sys.executable
    python = Path(info.root_directory, virtualenv, "bin", "python")
    if not python.exists():
        raise FileNotFoundError(
            f"Pulumi.yaml says `virtualenv: {virtualenv}`, and there is no {python}. "
            f"Make the environment first: `make up` does it."
        )
    return str(python)


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _end_with(engine: int) -> None:
    """Wait for the engine's end, then end everything here."""
    select.select([engine], [], [])
    _end_group()


def main() -> None:
    """Serve until the engine ends this process, or is gone."""
    # The engine gives each plugin a group of its own: go/common/resource/plugin/plugin.go.
    if os.getpgid(0) != os.getpid():
        os.setpgid(0, 0)
    parent = os.getppid()
    engine = os.pidfd_open(parent)
    if os.getppid() != parent:
        sys.exit("The engine is gone.")
    threading.Thread(target=_end_with, args=(engine,), daemon=True).start()
    # The flag has the name that the official host gives it.
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--use-executor", required=True, help="path of pulumi-language-python-exec")
    parser.add_argument("engine", help="address of the engine's own gRPC server")
    arguments = parser.parse_args()
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(
        LanguageHost(arguments.use_executor, arguments.engine), server
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
