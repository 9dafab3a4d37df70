"""Dagster's webserver and daemon of the local deployment, as background processes."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psutil
import requests
import tenacity
from dagster import DagsterInstance
from dagster_graphql import DagsterGraphQLClient
from rich.console import Console

from run_isolation.dagster.daemon import ReconcilerDaemon
from run_isolation.dagster.deployment import MANIFEST
from run_isolation.dagster.home.workspace import RESOLVER
from tools.local.account import Account
from tools.local.dagster_processes import DAEMON, WEBSERVER, stop_dagster
from tools.local.errors import StepError
from tools.local.files import LocalFiles
from tools.local.processes import Processes, own_environment
from tools.progress import working

LOOPBACK = "127.0.0.1"
FAVOURITE_PORT = 3000
"""Dagster's own default."""
PATIENCE = 90.0
"""Seconds until webserver and daemon must answer. About 8 on two cores."""
COMMAND = Path(sys.executable).with_name("run-isolation")


@dataclass(frozen=True)
class ControlPlane:
    """A webserver that answers and a daemon that works."""

    port: int
    home: Path
    """DAGSTER_HOME."""

    @property
    def url(self) -> str:
        """Address of the page."""
        return f"http://{LOOPBACK}:{self.port}"

    def client(self) -> DagsterGraphQLClient:
        """A client of the page's API."""
        return DagsterGraphQLClient(LOOPBACK, self.port, timeout=60)

    def instance(self) -> DagsterInstance:
        """The Dagster instance, for reading runs and events."""
        return DagsterInstance.from_config(str(self.home))


def ensure_control_plane(
    files: LocalFiles, processes: Processes, account: Account, parameter: str, console: Console
) -> ControlPlane:
    """Write the Dagster home, start what does not run, and wait until both answer.

    A change of the home restarts both: that is how a new code location comes into the page.

    Raises:
        StepError: one does not answer in time.
    """
    environment = _environment(files, account, parameter)
    if _write_home(files, environment):
        stop_dagster(processes)
    plane = ControlPlane(_port(files, processes), files.dagster_home)
    commands = {
        WEBSERVER: [str(COMMAND), WEBSERVER, "-h", LOOPBACK, "-p", str(plane.port)],
        DAEMON: [str(COMMAND), DAEMON],
    }
    with working(console, "Starting Dagster's webserver and daemon") as show:
        # Dagster makes the tables where they are missing; two processes at once trip over it.
        plane.instance().dispose()
        for name, command in commands.items():
            if processes.running(name) is None:
                processes.start(
                    name,
                    command,
                    directory=files.dagster_home,
                    log=files.log(name),
                    environment=environment,
                )
        for name in commands:
            show(f"waiting for the {name}")
            _wait_until_working(name, plane, files, processes)
    return plane


def _environment(files: LocalFiles, account: Account, parameter: str) -> dict[str, str]:
    return {
        **own_environment(),
        **account.environment,
        "DAGSTER_HOME": str(files.dagster_home),
        MANIFEST: parameter,
        # gRPC resolves the names of standing containers through the account's name server.
        RESOLVER: account.dns,
    }


def _write_home(files: LocalFiles, environment: Mapping[str, str]) -> bool:
    """Whether anything in it changed.

    Raises:
        StepError: `run-isolation dagster-home` refused.
    """
    files.dagster_home.mkdir(parents=True, exist_ok=True)
    config = files.dagster_home / "dagster.yaml"
    if not config.exists():
        # A trial on one machine tells nobody.
        config.write_text("telemetry: {enabled: false}\n")
    before = _contents(files.dagster_home)
    try:
        done = subprocess.run(
            [str(COMMAND), "dagster-home"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired as error:
        raise StepError(
            "`run-isolation dagster-home`, which reads the manifest, did not finish within "
            f"{PATIENCE:g} s. Start over: `make down`, then `make up`."
        ) from error
    if done.returncode != 0:
        raise StepError(f"`run-isolation dagster-home` failed: {done.stderr.strip()}")
    return before != _contents(files.dagster_home)


def _contents(home: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in home.glob("*.yaml")}


def _port(files: LocalFiles, processes: Processes) -> int:
    """The page keeps its address while it can."""
    remembered = int(files.port.read_text()) if files.port.exists() else FAVOURITE_PORT
    if processes.running(WEBSERVER) is None:
        remembered = remembered if _free(remembered) else _any_port()
        files.port.write_text(str(remembered))
    return remembered


def _free(port: int) -> bool:
    with closing(socket.socket()) as listener:
        # As the webserver binds it: connections of its last life may still linger.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def _any_port() -> int:
    with closing(socket.socket()) as listener:
        listener.bind((LOOPBACK, 0))
        port: int = listener.getsockname()[1]
        return port


def _wait_until_working(
    name: str, plane: ControlPlane, files: LocalFiles, processes: Processes
) -> None:
    def look() -> None:
        process = processes.running(name)
        if process is None:
            raise StepError(f"the {name} exited before it answered", files.log(name))
        works = _answers(plane) if name == WEBSERVER else _beats(plane, process)
        if not works:
            raise tenacity.TryAgain

    retrying = tenacity.Retrying(
        retry=tenacity.retry_never,
        stop=tenacity.stop_after_delay(PATIENCE),
        wait=tenacity.wait_fixed(0.3),
    )
    try:
        retrying(look)
    except tenacity.RetryError as error:
        reason = f"the {name} did not answer within {PATIENCE:g} s"
        raise StepError(reason, files.log(name)) from error


def _answers(plane: ControlPlane) -> bool:
    """Whether the page is served: it is once all code locations were asked."""
    try:
        return bool(requests.get(f"{plane.url}/server_info", timeout=5).ok)
    except requests.RequestException:
        return False


def _beats(plane: ControlPlane, process: psutil.Process) -> bool:
    """Whether each daemon of this process has given a heartbeat; older ones don't count.

    The reconciler is required only in the instance of the process that runs it.
    """
    with plane.instance() as instance:
        beats = instance.get_daemon_heartbeats()
        return all(
            kind in beats and beats[kind].timestamp >= process.create_time()
            for kind in (*instance.get_required_daemon_types(), ReconcilerDaemon.daemon_type())
        )
