"""`make up` and `make down` as a whole: the checkout's own program, examples and local account."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from tools.local.account import stop_account
from tools.local.files import CHECKOUT, LocalFiles
from tools.local.processes import Processes
from tools.local.up import bring_up

pytestmark = [pytest.mark.engine, pytest.mark.e2e]

QUIET = Console(quiet=True)


@pytest.fixture
def files(tmp_path: Path) -> Iterator[LocalFiles]:
    files = LocalFiles(tmp_path / "local")
    files.directory.mkdir()
    yield files
    stop_account(files, Processes(files.processes))


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

    again = bring_up(files, QUIET)
    assert set(again.resources) == {"unchanged"}
    assert again.locations == report.locations

    preview = by_hand(files, "pulumi preview --expect-no-changes --non-interactive")
    assert "unchanged" in preview
    assert config.read_bytes() == committed

    assert stop_account(files, Processes(files.processes)) is not None
    assert not any(listens(standing.address) for standing in report.locations)
