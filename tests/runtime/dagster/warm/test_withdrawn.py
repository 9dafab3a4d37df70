"""A process that is given up before it is known does nothing, whenever it comes to life."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.runtime.dagster.warm.withdrawn import SILENCE_SECONDS
from tests.waiting import eventually

CHECKOUT = Path(__file__).parents[4]


def seen(directory: Path, scenario: str) -> Any:
    """What whoever asked for the processes has seen."""
    subprocess.run(
        [sys.executable, "-m", "tests.runtime.dagster.warm.withdrawn", scenario],
        env={**os.environ, "TMPDIR": str(directory), "WITHDRAWN": str(directory)},
        cwd=CHECKOUT,
        check=True,
        timeout=120,
    )
    return json.loads((directory / "seen").read_text())


def worked(directory: Path) -> int:
    """How many processes did their work."""
    file = directory / "worked"
    return len(file.read_text().splitlines()) if file.exists() else 0


def test_of_a_template_that_was_silent_nothing_begins_later(tmp_path: Path) -> None:
    given_up, refused, last = seen(tmp_path, "silent_template")
    assert given_up["error"] == f"It has not answered for {SILENCE_SECONDS:g} seconds."
    assert given_up["seconds"] >= SILENCE_SECONDS
    # Nobody waits for it once more until it has answered.
    assert refused["error"] == "Whoever forks processes has not answered for a while."
    assert refused["seconds"] < SILENCE_SECONDS
    assert last["exit_code"] == 0
    assert worked(tmp_path) == 1


def test_a_step_that_a_silent_keeper_does_not_fork_is_spawned_and_executed_once(
    tmp_path: Path,
) -> None:
    [spawned] = seen(tmp_path, "silent_keeper")
    assert spawned["exit_code"] == 0
    assert worked(tmp_path) == 1


@pytest.mark.parametrize(
    ("scenario", "why"),
    [
        ("no_space", "No keeper for the run: FileNotFoundError"),
        ("no_descriptors", "No keeper for the run: OSError(24"),
        ("dead_keeper", "It ended without an answer."),
    ],
)
def test_a_keeper_that_fails_says_so_and_there_is_no_process(
    tmp_path: Path, scenario: str, why: str
) -> None:
    [came] = seen(tmp_path, scenario)
    assert why in came["error"]
    assert worked(tmp_path) == 0
    assert not list(tmp_path.glob("run-*")), "a directory for its files"


def test_a_run_whose_server_dies_before_it_lets_it_go_does_nothing(tmp_path: Path) -> None:
    pids = seen(tmp_path, "dead_asker")
    eventually(lambda: not any(psutil.pid_exists(pid) for pid in pids))
    assert worked(tmp_path) == 0
