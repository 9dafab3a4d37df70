"""What becomes of a process that has a keeper, of the keeper, and of all that is below them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from run_isolation.dagster.processes import linux

ENDING = Path(__file__).with_name("ending.py")
SECONDS = 30


def start(work: str) -> tuple[subprocess.Popen[str], list[int]]:
    """The keeper, and the ids that the process has printed."""
    keeper = subprocess.Popen(
        [sys.executable, str(ENDING), work], stdout=subprocess.PIPE, text=True
    )
    assert keeper.stdout is not None
    return keeper, [int(pid) for pid in keeper.stdout.readline().split()]


@pytest.mark.parametrize(
    ("work", "exit_code"),
    [
        ("ends", 7),
        ("is_killed", -signal.SIGKILL),
        ("is_killed_after_its_end", 0),
        ("holds_the_lock", 4),
        ("closes_what_is_not_its_own", 6),
    ],
)
def test_a_keeper_ends_as_its_process_does_or_has_said(work: str, exit_code: int) -> None:
    keeper, [pid] = start(work)
    assert pid != keeper.pid
    assert keeper.wait(SECONDS) == exit_code
    assert not psutil.pid_exists(pid)


def test_a_signal_is_passed_on() -> None:
    keeper, _ = start("waits_for_a_signal")
    keeper.terminate()
    assert keeper.wait(SECONDS) == 5


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2])
def test_a_signal_with_a_handler_is_the_process_s(number: signal.Signals) -> None:
    keeper, _ = start("handles_any_signal")
    keeper.send_signal(number)
    assert keeper.wait(SECONDS) == number


def test_a_process_goes_with_its_keeper() -> None:
    keeper, [pid] = start("waits_for_a_signal")
    process = psutil.Process(pid)
    keeper.kill()
    keeper.wait(SECONDS)
    process.wait(SECONDS)


def test_nothing_that_it_started_is_left() -> None:
    keeper, [_, program, copy] = start("leaves_what_it_started")
    assert keeper.wait(SECONDS) == 0
    assert not psutil.pid_exists(program)
    assert not psutil.pid_exists(copy)


def test_a_copy_is_told_from_a_program() -> None:
    program = subprocess.Popen(["sleep", str(SECONDS)])
    copy = os.fork() or time.sleep(SECONDS) or os._exit(0)  # type: ignore[func-returns-value]
    try:
        assert linux.is_copy(copy)
        assert not linux.is_copy(program.pid)
        assert not linux.is_copy(os.getppid())
    finally:
        os.kill(copy, signal.SIGKILL)
        os.waitpid(copy, 0)
        program.kill()
        program.wait()


def test_one_that_is_gone_is_no_copy() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    assert not linux.is_copy(process.pid)
