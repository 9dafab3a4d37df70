"""What a keeper does for a process, and what the process has of whoever asked for it, in each way.

The site's start-up code starts a thread in each interpreter, as some agents do.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from run_isolation.dagster.warm import keeper
from tests.waiting import eventually

KEPT = Path(__file__).with_name("kept.py")
SITE = "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"


@dataclass(frozen=True)
class Outcome:
    """What became of all processes of one kind."""

    kind: str
    place: Path
    found: dict[str, Any]


@pytest.fixture(scope="module", params=["forked", "spawned"])
def outcome(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Outcome]:
    # The path of a socket is at most 107 bytes long, and a directory of pytest's may have as many.
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        (place / "site").mkdir()
        # The template is not forked from a process that has threads; see detection.
        (place / "site" / "sitecustomize.py").write_text(SITE if request.param == "spawned" else "")
        output = tmp_path_factory.mktemp("kept") / "outcome.json"
        done = subprocess.run(
            [sys.executable, str(KEPT), request.param, str(output)],
            env={**os.environ, "TMPDIR": directory, "PYTHONPATH": str(place / "site")},
            check=False,
            timeout=240,
        )
        assert done.returncode == -signal.SIGKILL
        yield Outcome(request.param, place, json.loads(output.read_text()))


@pytest.mark.parametrize("work", ["is_killed", "loses_its_keeper"])
def test_nothing_outlives_it(outcome: Outcome, work: str) -> None:
    """Not even for a moment where the keeper is there to say that it is over."""
    found = outcome.found[work]
    if work == "is_killed":
        assert found["code"] == -signal.SIGKILL
        assert found["left"] == []
    eventually(lambda: not [pid for pid in found["told"] if psutil.pid_exists(pid)])


def test_a_copy_is_killed_and_hears_no_signal(outcome: Outcome) -> None:
    assert (outcome.place / "copied").exists()
    assert outcome.found["is_killed_and_has_a_copy"]["left"] == []
    assert not (outcome.place / "heard").exists()


def test_one_that_is_deaf_to_its_cancel_is_killed(outcome: Outcome) -> None:
    assert outcome.found["is_deaf"]["code"] == -signal.SIGKILL


def test_one_whose_run_is_over_has_ended_as_it_said(outcome: Outcome) -> None:
    assert outcome.found["is_over_and_stays"]["code"] == 0


def test_its_temporary_files_go_with_it(outcome: Outcome) -> None:
    found = outcome.found["leaves_files"]
    assert Path(found["told"]).is_relative_to(outcome.place)
    assert not found["there"]
    assert found["code"] == 0


def test_it_ends_with_the_server(outcome: Outcome) -> None:
    told = outcome.found["stays"]["told"]
    eventually(lambda: not [pid for pid in told if psutil.pid_exists(pid)])


def test_a_run_has_what_its_server_has_now(outcome: Outcome) -> None:
    server, run = outcome.found["server"], outcome.found["tells_its_state"]["told"]
    assert server["umask"] == 0o027
    assert server["variables"] == {"LATE": "server", "DROPPED": None}
    # Each has a directory of its own there.
    assert Path(run.pop("temporary")).parent == Path(server.pop("temporary"))
    assert run == server


def test_a_step_has_what_its_run_has_now(outcome: Outcome) -> None:
    if outcome.kind == "spawned":
        return  # Dagster spawns it
    run, step = outcome.found["tells_a_step_s_state"]["told"]
    assert (run["variables"]["LATE"], run["umask"]) == ("run", 0o037)
    assert step == run


def test_files_that_a_run_has_made_read_only_go_too(tmp_path: Path) -> None:
    """Where nobody is root, whom no mode stops."""
    tmp_path.chmod(0o777)
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o500)
    reads, writes = os.pipe()
    if os.fork() == 0:
        try:
            if os.getuid() == 0:
                for parent in tmp_path.parents:
                    if "pytest-" in str(parent):
                        parent.chmod(0o755)
                os.setgid(65534)
                os.setuid(65534)
            directory = Path(tempfile.mkdtemp(dir=tmp_path))
            deep = directory / "a" / "b"
            deep.mkdir(parents=True)
            (deep / "file").write_text("")
            (directory / "link").symlink_to(outside)
            deep.chmod(0o500)
            deep.parent.chmod(0o000)
            keeper._remove(str(directory))
            os.write(writes, b"there" if directory.exists() else b"gone")
        finally:
            os._exit(0)
    os.close(writes)
    assert os.read(reads, 10) == b"gone"
    assert outside.stat().st_mode & 0o777 == 0o500
