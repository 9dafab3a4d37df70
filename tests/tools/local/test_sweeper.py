"""A command that is interrupted or killed takes along what it has started."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.waiting import eventually
from tools.local.files import CHECKOUT

CHILD = "import time; open('{0}', 'w').close(); time.sleep(60)"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + CHILD
COMMAND = """
import fcntl, os, signal, subprocess, sys, threading, time
parent = os.getppid()
from tools.local.sweeper import swept

child, then = sys.argv[1:]
lock = open("lock", "ab")
fcntl.flock(lock, fcntl.LOCK_EX)
if then == "outlive":
    open("begun", "w").close()
    while os.getppid() == parent:
        time.sleep(0.01)

def wait_while_interrupted(*arguments, wait=os.waitpid):
    os.waitpid = wait
    os.kill(os.getpid(), signal.SIGTERM)
    return wait(*arguments)

with swept(lock, lambda sentence: print(sentence, flush=True), parent):
    subprocess.Popen([sys.executable, "-c", child], start_new_session=True)
    # Nobody's child once its parent is gone.
    orphan = [sys.executable, "-c", {orphan!r}]
    subprocess.run([sys.executable, "-c", f"import subprocess; subprocess.Popen({{orphan}})"])
    if then in ("wait", "outlive"):
        threading.Event().wait()
    if then == "interrupted":
        os.waitpid = wait_while_interrupted
""".format(orphan=CHILD.format("orphan"))


class Command:
    """The command, in a directory of its own."""

    def __init__(self, directory: Path, *, child: str = CHILD, then: str = "wait") -> None:
        self.directory = directory
        argv = [sys.executable, "-c", COMMAND, child.format("child"), then]
        self.process = subprocess.Popen(
            argv,
            cwd=directory,
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
            stdout=subprocess.PIPE,
            text=True,
        )

    def wait_for_children(self) -> None:
        for name in ("child", "orphan"):
            eventually((self.directory / name).exists, f"{name} runs")

    def others(self) -> list[psutil.Process]:
        """All processes of the directory but the command itself."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.pid != self.process.pid and process.cwd() == str(self.directory):
                    found.append(process)
        return found


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.cwd() == str(tmp_path):
                process.kill()


SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL]


@pytest.mark.parametrize("number", SIGNALS)
def test_nothing_is_left(directory: Path, number: signal.Signals) -> None:
    command = Command(directory)
    command.wait_for_children()
    eventually(lambda: len(command.others()) == 3, "only they and the sweeper are left")
    started = command.others()
    command.process.send_signal(number)
    said, _ = command.process.communicate(timeout=10)
    if number is signal.SIGKILL:
        _, alive = psutil.wait_procs(started, timeout=10)
        assert alive == []
    else:
        assert number.name in said
        assert command.process.returncode == 128 + number
    assert command.others() == []


def test_what_takes_no_notice_is_killed_at_the_second_signal(directory: Path) -> None:
    command = Command(directory, child=DEAF)
    command.wait_for_children()
    command.process.send_signal(signal.SIGINT)
    assert command.process.stdout is not None
    assert "Press Ctrl-C again to kill it at once." in command.process.stdout.readline()
    with (directory / "lock").open() as lock, pytest.raises(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    command.process.send_signal(signal.SIGINT)
    command.process.communicate(timeout=5)
    assert command.others() == []


def test_what_a_finished_command_has_started_stays(directory: Path) -> None:
    command = Command(directory, then="end")
    assert command.process.wait(10) == 0
    command.wait_for_children()
    assert len(command.others()) == 2


def test_a_signal_after_the_end_is_not_the_commands_any_more(directory: Path) -> None:
    """It comes while the command waits for the sweeper, which is not to be waited for twice."""
    command = Command(directory, then="interrupted")
    assert command.process.wait(10) == -signal.SIGTERM
    command.wait_for_children()
    eventually(lambda: len(command.others()) == 2, "only the sweeper ends")


def test_it_ends_where_make_is_gone_before_it_looks(directory: Path) -> None:
    argv = [sys.executable, "-c", COMMAND, CHILD.format("child"), "outlive"]
    make = '"$@" & until [ -e begun ]; do sleep 0.01; done'
    with subprocess.Popen(
        ["sh", "-c", make, "make", *argv],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "MAKELEVEL": "1"},
        stdout=subprocess.PIPE,
        text=True,
    ) as gone:
        said, _ = gone.communicate(timeout=10)
    assert said.startswith("SIGTERM: ")
    assert not (directory / "child").exists()


def test_it_ends_with_the_make_that_runs_it(directory: Path) -> None:
    argv = [sys.executable, "-c", COMMAND, CHILD.format("child"), "wait"]
    (directory / "Makefile").write_text("up:\n\t$(COMMAND)\n")
    script = directory / "command"
    script.write_text(f"#!{sys.executable}\nimport os\nos.execv({sys.executable!r}, {argv!r})\n")
    script.chmod(0o755)
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    with subprocess.Popen(
        ["make", "up", "COMMAND=./command"],
        cwd=directory,
        env=environment,
        stdout=subprocess.DEVNULL,
    ) as make:
        for name in ("child", "orphan"):
            eventually((directory / name).exists, f"{name} runs")
        started = psutil.Process(make.pid).children(recursive=True)
        make.kill()
    _, alive = psutil.wait_procs(started, timeout=10)
    assert alive == []


TOLD = """
import signal, sys, threading

told, over = open("told", "a"), threading.Event()

def hear(number, frame):
    print(signal.Signals(number).name, file=told, flush=True)
    over.set()

for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, hear)
open("child", "w").close()
over.wait()
# Long enough to hear a second one.
threading.Event().wait(1)
"""
IN_TERMINAL = """
import os, subprocess, sys, threading
from tools.local.sweeper import swept

with open("lock", "ab") as lock, swept(lock, lambda sentence: None, os.getppid()):
    subprocess.Popen([sys.executable, "-c", sys.argv[1]])
    threading.Event().wait()
"""


def test_control_c_tells_each_process_once(directory: Path) -> None:
    """A second signal tells Pulumi's engine to leave things as they are."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", IN_TERMINAL, TOLD],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    ) as command:
        eventually((directory / "child").exists, "the child runs")
        os.write(ours, b"\x03")
    assert command.returncode == 130
    assert (directory / "told").read_text().split() == ["SIGINT"]
