"""What a keeper ends, with a template of its own in a new interpreter; it waits less than ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.runtime.dagster.warm.stubborn import BURNT_SECONDS, SECONDS

HERE = Path(__file__).parent


def outcome(directory: Path, work: str) -> dict[str, Any]:
    """What became of a process that does some work; see stubborn.py."""
    output = directory / "outcome.json"
    subprocess.run(
        [sys.executable, str(HERE / "stubborn.py"), work, str(SECONDS), str(output)],
        env={**os.environ, "TMPDIR": str(directory)},
        check=True,
        timeout=120,
    )
    return dict(json.loads(output.read_text()))


def test_a_canceled_process_that_does_not_end_is_killed(tmp_path: Path) -> None:
    found = outcome(tmp_path, "ignores_cancel")
    assert found["exit_code"] == -9
    assert found["seconds"] >= SECONDS


def test_a_process_that_stays_when_its_run_is_over_is_killed_and_did_not_fail(
    tmp_path: Path,
) -> None:
    found = outcome(tmp_path, "is_over_and_stays")
    assert found["exit_code"] == 0
    assert SECONDS <= found["seconds"] < 60


def test_a_process_that_closes_what_is_not_its_own_goes_on(tmp_path: Path) -> None:
    assert outcome(tmp_path, "closes_what_is_not_its_own")["exit_code"] == 3


@pytest.mark.parametrize("work", ["leaves_stubborn_child", "leaves_stopped_child"])
def test_what_ignores_sigterm_is_killed(tmp_path: Path, work: str) -> None:
    found = outcome(tmp_path, work)
    assert found["exit_code"] == 3
    assert not psutil.pid_exists(found["child"])
    assert list(tmp_path.glob("run-*")) == []


def test_what_a_process_registers_for_its_exit_is_done_and_nothing_else(tmp_path: Path) -> None:
    found = outcome(tmp_path, "registers_exit")
    assert found["exit_code"] == 0
    assert (tmp_path / "own").exists()
    assert not (tmp_path / "template").exists()


def test_what_a_process_took_is_told_at_its_end(tmp_path: Path) -> None:
    cpu_seconds, memory_bytes = outcome(tmp_path, "takes")["taken"]
    assert BURNT_SECONDS <= cpu_seconds < 10
    assert 48 <= memory_bytes / 2**20 < 200


def test_of_a_process_that_is_killed_the_cpu_seconds_are_told(tmp_path: Path) -> None:
    cpu_seconds, memory_bytes = outcome(tmp_path, "ignores_cancel")["taken"]
    assert cpu_seconds > 0
    assert memory_bytes == 0


def test_an_event_that_is_set_in_one_process_is_seen_in_the_other(tmp_path: Path) -> None:
    assert outcome(tmp_path, "sets_event")["event"] is True
