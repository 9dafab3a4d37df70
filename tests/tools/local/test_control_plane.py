"""Webserver and daemon as background processes, with a stand-in for the command `run-isolation`."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests
from dagster import DagsterInstance
from dagster._daemon.types import DaemonHeartbeat
from rich.console import Console

from tools.local import control_plane
from tools.local.account import Account
from tools.local.control_plane import ControlPlane, ensure_control_plane
from tools.local.dagster_processes import DAEMON, WEBSERVER, stop_dagster
from tools.local.errors import StepError
from tools.local.files import LocalFiles
from tools.local.processes import Processes

pytestmark = pytest.mark.e2e

QUIET = Console(quiet=True)
ACCOUNT = Account(
    pid=1,
    endpoint_url="http://127.0.0.1:5000",
    provider_port=6000,
    dns="127.0.0.1:7000",
    environment={"AWS_ENDPOINT_URL": "http://127.0.0.1:5000", "AWS_REGION": "us-east-1"},
)

# `dagster-home` writes what the file `manifest` says. The webserver answers everything. The daemon
# gives each heartbeat once, but those that the file `silent` lists.
COMMAND = """
import os, pathlib, signal, sys
here = pathlib.Path({directory!r})
home = pathlib.Path(os.environ["DAGSTER_HOME"])
word, *options = sys.argv[1:]

def dagster_home():
    wanted = (here / "manifest").read_text()
    if wanted == "none":
        sys.exit("the environment names no manifest")
    (home / "workspace.yaml").write_text(wanted)

def webserver():
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
    class Page(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(os.environ["AWS_ENDPOINT_URL"].encode())
    ThreadingHTTPServer(("127.0.0.1", int(options[options.index("-p") + 1])), Page).serve_forever()

def daemon():
    import time
    from dagster import DagsterInstance
    from dagster._daemon.types import DaemonHeartbeat
    silent = (here / "silent").read_text().split()
    with DagsterInstance.get() as instance:
        for kind in {{*instance.get_required_daemon_types(), "RUN_ISOLATION_RECONCILER"}}:
            if kind not in silent:
                instance.add_daemon_heartbeat(DaemonHeartbeat(time.time(), kind, "it", []))
    signal.pause()

{{"dagster-home": dagster_home, "webserver": webserver, "daemon": daemon}}[word]()
"""


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the stand-in looks what it shall do."""
    (tmp_path / "command.py").write_text(COMMAND.format(directory=str(tmp_path)))
    command = tmp_path / "run-isolation"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{tmp_path}/command.py" "$@"\n')
    command.chmod(0o755)
    monkeypatch.setattr(control_plane, "COMMAND", command)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setattr(control_plane, "FAVOURITE_PORT", free.getsockname()[1])
    (tmp_path / "manifest").write_text("load_from: []")
    (tmp_path / "silent").touch()
    return tmp_path


@pytest.fixture
def files(tmp_path: Path) -> Iterator[LocalFiles]:
    files = LocalFiles(tmp_path / "local")
    yield files
    stop_dagster(Processes(files.processes))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_plane, "PATIENCE", 3.0)


def ensure(files: LocalFiles) -> ControlPlane:
    processes = Processes(files.processes)
    return ensure_control_plane(files, processes, ACCOUNT, "/run-isolation/local/manifest", QUIET)


def process(files: LocalFiles, name: str) -> psutil.Process:
    found = Processes(files.processes).running(name)
    assert found is not None, f"the {name} does not run"
    return found


def pids(files: LocalFiles) -> list[int]:
    return [process(files, name).pid for name in (WEBSERVER, DAEMON)]


def kill(found: psutil.Process) -> None:
    found.kill()
    psutil.wait_procs([found], timeout=10)


def test_both_run_and_are_reused(files: LocalFiles) -> None:
    plane = ensure(files)
    assert plane.port == control_plane.FAVOURITE_PORT
    assert requests.get(plane.url, timeout=5).text == ACCOUNT.endpoint_url
    assert "telemetry: {enabled: false}" in (files.dagster_home / "dagster.yaml").read_text()
    before = pids(files)
    assert ensure(files) == plane
    assert pids(files) == before


def test_the_users_own_aws_settings_stay_outside(
    files: LocalFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    ensure(files)
    for name in (WEBSERVER, DAEMON):
        environment = process(files, name).environ()
        assert "AWS_PROFILE" not in environment
        assert environment["AWS_REGION"] == "us-east-1"
        assert environment["RUN_ISOLATION_RESOLVER"] == ACCOUNT.dns
        assert environment["RUN_ISOLATION_MANIFEST"] == "/run-isolation/local/manifest"


@pytest.mark.parametrize(("dead", "alive"), [(WEBSERVER, DAEMON), (DAEMON, WEBSERVER)])
def test_only_what_died_is_started_again(files: LocalFiles, dead: str, alive: str) -> None:
    plane = ensure(files)
    old, stays = process(files, dead), process(files, alive)
    kill(old)
    assert ensure(files) == plane
    assert process(files, dead).pid != old.pid
    assert process(files, alive).pid == stays.pid


def test_a_change_of_the_code_locations_restarts_both(files: LocalFiles, directory: Path) -> None:
    plane = ensure(files)
    before = pids(files)
    (directory / "manifest").write_text("load_from: [{python_module: another}]")
    assert ensure(files) == plane
    assert not set(before) & set(pids(files))


def test_a_taken_port_is_left_to_its_owner_and_the_other_one_is_remembered(
    files: LocalFiles,
) -> None:
    with socket.create_server(("127.0.0.1", control_plane.FAVOURITE_PORT)):
        plane = ensure(files)
    assert plane.port != control_plane.FAVOURITE_PORT
    kill(process(files, WEBSERVER))
    assert ensure(files).port == plane.port


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("kind", ["SENSOR", "RUN_ISOLATION_RECONCILER"])
def test_a_heartbeat_of_an_earlier_daemon_does_not_count(
    files: LocalFiles, directory: Path, kind: str
) -> None:
    files.dagster_home.mkdir(parents=True)
    earlier, later = time.time() - 60, time.time() + 60
    with DagsterInstance.from_config(str(files.dagster_home)) as instance:
        for other in (*instance.get_required_daemon_types(), "RUN_ISOLATION_RECONCILER"):
            beat = DaemonHeartbeat(earlier if other == kind else later, other, "it", [])
            instance.add_daemon_heartbeat(beat)
    (directory / "silent").write_text(kind)
    with pytest.raises(StepError, match="the daemon did not answer within 3 s") as error:
        ensure(files)
    assert error.value.log == files.log(DAEMON)


@pytest.mark.usefixtures("impatient")
def test_a_webserver_that_is_deaf_is_not_taken_for_one_that_answers(
    files: LocalFiles, directory: Path
) -> None:
    deaf = COMMAND.format(directory=str(directory)).replace(".serve_forever()", "; signal.pause()")
    (directory / "command.py").write_text(deaf)
    with pytest.raises(StepError, match="the webserver did not answer within 3 s"):
        ensure(files)


def test_one_that_ends_at_once_is_named_with_its_log(files: LocalFiles, directory: Path) -> None:
    broken = COMMAND.format(directory=str(directory)).replace('"-p"', '"--port"')
    (directory / "command.py").write_text(broken)
    with pytest.raises(StepError, match="the webserver exited before it answered") as error:
        ensure(files)
    assert error.value.log == files.log(WEBSERVER)
    assert "ValueError" in files.log(WEBSERVER).read_text()


def test_a_home_that_can_not_be_written_is_told(files: LocalFiles, directory: Path) -> None:
    (directory / "manifest").write_text("none")
    with pytest.raises(StepError, match="the environment names no manifest"):
        ensure(files)


def test_stopping_stops_both_and_nothing_else(files: LocalFiles) -> None:
    ensure(files)
    both = [process(files, name) for name in (WEBSERVER, DAEMON)]
    stopped = stop_dagster(Processes(files.processes))
    assert stopped == {WEBSERVER: both[0].pid, DAEMON: both[1].pid}
    assert not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in both)
    assert psutil.pid_exists(os.getpid())
    assert stop_dagster(Processes(files.processes)) == {}
