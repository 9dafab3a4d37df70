"""`make up` and `make down` as a whole: the checkout's own program, examples and local account."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from rich.console import Console

from run_isolation.policy import Kind
from tools.local.dagster_processes import DAEMON, WEBSERVER
from tools.local.files import CHECKOUT, LocalFiles
from tools.local.processes import Processes
from tools.local.up import bring_up, stop_all

pytestmark = [pytest.mark.engine, pytest.mark.e2e]

QUIET = Console(quiet=True)


@pytest.fixture
def files(tmp_path: Path) -> Iterator[LocalFiles]:
    files = LocalFiles(tmp_path / "local")
    files.directory.mkdir()
    yield files
    stop_all(files)


def by_hand(files: LocalFiles, command: str) -> str:
    result = subprocess.run(
        ["sh", "-c", f'. "{files.environment}" && {command}'],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def listens(address: str) -> bool:
    host, port = address.split(":")
    try:
        socket.create_connection((host, int(port)), timeout=2).close()
    except OSError:
        return False
    return True


def test_up_again_by_hand_and_down(files: LocalFiles) -> None:
    config = CHECKOUT / "stacks" / "Pulumi.local.yaml"
    committed = config.read_bytes()

    report = bring_up(files, QUIET)
    assert {standing.location for standing in report.locations} == {"sales", "research"}
    for standing in report.locations:
        serves = standing.serves
        assert all((serves.assets, serves.jobs, serves.sensors, serves.schedules)), standing
        assert listens(standing.address)

    assert report.good, [placed.faults for placed in report.runs]
    asked = {(placed.run.location, placed.run.kind) for placed in report.runs}
    assert asked == {(one, kind) for one in ("sales", "research") for kind in Kind}
    assert requests.get(f"{report.page}/server_info", timeout=10).ok
    dagster = [Processes(files.processes).running(name) for name in (WEBSERVER, DAEMON)]

    again = bring_up(files, QUIET)
    assert set(again.resources) == {"unchanged"}
    assert again.locations == report.locations
    assert again.good, [placed.faults for placed in again.runs]
    assert again.page == report.page
    assert [Processes(files.processes).running(name) for name in (WEBSERVER, DAEMON)] == dagster

    preview = by_hand(files, "pulumi preview --expect-no-changes --non-interactive")
    assert "unchanged" in preview
    assert config.read_bytes() == committed

    assert len(stop_all(files)) == 3
    assert all(process and not process.is_running() for process in dagster)
    assert not any(listens(standing.address) for standing in report.locations)
