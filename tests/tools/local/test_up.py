"""`make up` and `make down` as a whole, in a copy of the checkout: a live one is left alone."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
import yaml

from run_isolation.slots.decision import Kind
from tests.waiting import eventually
from tools import environments
from tools.local.dagster_processes import DAEMON, WEBSERVER
from tools.local.errors import ExitCode
from tools.local.files import CHECKOUT, LocalFiles
from tools.local.processes import Processes
from tools.local.report import Report

pytestmark = [pytest.mark.engine, pytest.mark.e2e, pytest.mark.timeout(600)]

PARTS = ("examples", "images", "infra", "localaws", "runtime", "stacks", "tools")
FILES = ("Pulumi.yaml", "README.md", "pyproject.toml")


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    checkout = tmp_path / "it's my checkout"
    for part in PARTS:
        shutil.copytree(CHECKOUT / part, checkout / part)
    for file in FILES:
        shutil.copy(CHECKOUT / file, checkout)
    (checkout / ".venv").symlink_to(sys.prefix)
    # The same sources have the same environments.
    (checkout / ".local").mkdir()
    (checkout / ".local" / "environments").symlink_to(environments.DIRECTORY)
    yield checkout
    in_copy(checkout, [sys.executable, "-m", "tools.local", "down"])


def environment_of(checkout: Path) -> dict[str, str]:
    path = os.pathsep.join([str(checkout), str(checkout / "runtime")])
    return {**os.environ, "PYTHONPATH": path}


def in_copy(checkout: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=checkout,
        env=environment_of(checkout),
        capture_output=True,
        text=True,
        check=False,
    )


def up(checkout: Path, code: ExitCode = ExitCode.DONE) -> Report:
    done = in_copy(checkout, [sys.executable, "-m", "tools.local", "up", "--json"])
    assert done.returncode == code, done.stdout + done.stderr
    return Report.model_validate_json(done.stdout)


def by_hand(checkout: Path, command: str) -> str:
    printed = in_copy(checkout, [sys.executable, "-m", "tools.local", "env"]).stdout.strip()
    done = in_copy(checkout, ["bash", "-c", f"{printed} && {command}"])
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def listens(address: str) -> bool:
    host, port = address.split(":")
    try:
        socket.create_connection((host, int(port)), timeout=2).close()
    except OSError:
        return False
    return True


def programs(checkout: Path) -> list[psutil.Process | None]:
    processes = Processes(LocalFiles(checkout / ".local").processes)
    return [processes.running(name) for name in (WEBSERVER, DAEMON)]


def processes_of(checkout: Path) -> list[list[str]]:
    """Command lines of all processes that have to do with this copy."""
    return [
        command
        for process in psutil.process_iter(["cmdline", "cwd"])
        if (command := process.info["cmdline"])
        and str(checkout) in " ".join([*command, process.info["cwd"] or ""])
    ]


def disable_non_isolated_runs(checkout: Path) -> None:
    path = checkout / "stacks" / "Pulumi.local.yaml"
    stack = yaml.safe_load(path.read_text())
    stack["config"]["run-isolation:deploymentSettings"]["non_isolated_runs"]["enabled"] = False
    path.write_text(yaml.safe_dump(stack))


def test_up_again_by_hand_and_down(checkout: Path) -> None:
    config = checkout / "stacks" / "Pulumi.local.yaml"
    committed = config.read_bytes()

    report = up(checkout)
    assert {standing.location for standing in report.locations} == {"sales", "research"}
    for standing in report.locations:
        serves = standing.serves
        assert all((serves.assets, serves.jobs, serves.sensors, serves.schedules)), standing
        assert listens(standing.address)
    asked = {(placed.run.location, placed.run.kind) for placed in report.runs}
    assert asked == {(one, kind) for one in ("sales", "research") for kind in Kind}
    standing_tasks = {standing.task for standing in report.locations}
    for placed in report.runs:
        assert (placed.run.task in standing_tasks) == (placed.run.kind == Kind.NON_ISOLATED)
    assert requests.get(f"{report.page}/server_info", timeout=10).ok
    dagster = programs(checkout)
    assert all(dagster)

    again = up(checkout)
    assert set(again.resources) == {"unchanged"}
    assert again.locations == report.locations
    assert again.page == report.page
    assert programs(checkout) == dagster
    assert not {one.run.run_id for one in again.runs} & {one.run.run_id for one in report.runs}

    preview = by_hand(checkout, "pulumi preview --expect-no-changes --non-interactive")
    assert "unchanged" in preview
    assert config.read_bytes() == committed

    disable_non_isolated_runs(checkout)
    wrong = up(checkout, ExitCode.RUN_IN_THE_WRONG)
    assert {placed.run.kind for placed in wrong.runs} == {Kind.ISOLATED}
    faults = [fault for placed in wrong.runs for fault in placed.faults]
    assert "became isolated, not non-isolated" in faults
    assert programs(checkout) == dagster

    assert processes_of(checkout) != []
    assert in_copy(checkout, [sys.executable, "-m", "tools.local", "down"]).returncode == 0
    assert processes_of(checkout) == []
    assert not any(listens(standing.address) for standing in report.locations)


NOTHING: Mapping[str, Any] = {
    "config": {
        "aws:region": "us-east-1",
        "run-isolation:codeLocations": {},
        "run-isolation:instance": {"sqliteDirectory": ".local/dagster"},
        "run-isolation:protect": False,
    },
    "encryptionsalt": "v1:4uywkXqBNEU=:v1:Eaa+q8pWshOWpZaU:FMFl2O0cybOWfOeXQgKWVyTZPE0MtQ==",
}
"""A deployment without a code location, which is up within seconds."""

HANGS = """
import pathlib, signal, threading

for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
pathlib.Path("hangs").touch()
threading.Event().wait()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_up_that_is_ended_leaves_nothing_and_the_next_one_goes_on(
    checkout: Path, number: signal.Signals
) -> None:
    program = checkout / "infra" / "__main__.py"
    theirs = program.read_text()
    program.write_text(HANGS)
    command = [sys.executable, "-m", "tools.local", "up"]
    with subprocess.Popen(
        command, cwd=checkout, env=environment_of(checkout), stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        eventually((checkout / "infra" / "hangs").exists, "the program runs")
        process.send_signal(number)
        if any("Press Ctrl-C again to kill it at once." in line for line in process.stderr):
            process.send_signal(number)
    assert process.returncode != 0
    eventually(lambda: not processes_of(checkout), lambda: f"gone: {processes_of(checkout)}", 40)

    program.write_text(theirs)
    (checkout / "stacks" / "Pulumi.local.yaml").write_text(yaml.safe_dump(NOTHING))
    report = up(checkout)
    assert report.resources["created"] > 10
    assert report.runs == []
