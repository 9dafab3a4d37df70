"""Only what was started is stopped."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.waiting import eventually
from tools.local.processes import Processes

SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "open('deaf', 'w').close(); time.sleep(60)",
]


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    file = tmp_path / "state" / "processes.json"
    yield file
    for name in ("one", "two"):
        Processes(file).stop(name, patience=0)


def start(file: Path, name: str = "one", command: list[str] = SLEEP) -> int:
    log = file.parent.parent / f"{name}.log"
    return Processes(file).start(name, command, directory=log.parent, log=log)


def test_another_invocation_finds_and_stops_it(file: Path) -> None:
    pid = start(file)
    found = Processes(file).running("one")
    assert found is not None
    assert found.pid == pid
    assert Processes(file).stop("one", patience=10) == pid
    assert Processes(file).running("one") is None
    assert not file.exists()


def test_stopping_twice_does_nothing(file: Path) -> None:
    start(file)
    Processes(file).stop("one", patience=10)
    assert Processes(file).stop("one", patience=10) is None


def test_stops_one_of_two(file: Path) -> None:
    start(file, "one")
    start(file, "two")
    Processes(file).stop("one", patience=10)
    assert Processes(file).running("two") is not None


def test_never_touches_a_process_that_got_the_same_number(file: Path) -> None:
    with subprocess.Popen(SLEEP) as stranger:
        created = psutil.Process(stranger.pid).create_time()
        file.parent.mkdir()
        file.write_text(json.dumps({"one": {"pid": stranger.pid, "created": created - 60}}))
        assert Processes(file).running("one") is None
        assert Processes(file).stop("one", patience=10) is None
        assert stranger.poll() is None
        stranger.kill()


def test_kills_one_that_ignores_sigterm(file: Path, tmp_path: Path) -> None:
    pid = start(file, "one", STUBBORN)
    process = psutil.Process(pid)
    while not (tmp_path / "deaf").exists():
        assert process.is_running()
    assert Processes(file).stop("one", patience=0.2) == pid
    assert not process.is_running()


def test_output_goes_to_the_log(file: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; print('out'); print('err', file=sys.stderr)"]
    start(file, "one", command)
    # Not its end: it may be over before anybody can wait for it, and then nobody knows it.
    log = tmp_path / "one.log"
    eventually(lambda: sorted(log.read_text().split()) == ["err", "out"], log.read_text)
