"""Containers as processes: exit codes, output, and that nothing of them stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from localaws.ecs.process import ContainerProcess
from localaws.ecs.sandbox import Start
from tests.waiting import eventually

ENVIRONMENT = {"PATH": os.environ["PATH"]}


def start(script: str, output: list[bytes] | None = None) -> ContainerProcess:
    return ContainerProcess(
        Start(["sh", "-c", script], Path("/"), ENVIRONMENT),
        on_output=(output if output is not None else []).append,
    )


@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 137), ("kill -15 $$", 143)]
)
def test_exit_codes_are_dockers(script: str, code: int) -> None:
    assert start(script).wait(10) == code


def test_a_program_that_cannot_be_executed_says_so() -> None:
    output: list[bytes] = []
    process = ContainerProcess(
        Start(["no-such-program"], Path("/"), ENVIRONMENT), on_output=output.append
    )
    assert process.wait(10) == 126
    assert b"cannot start 'no-such-program'" in b"".join(output)


def test_output_of_both_streams_comes_in_order_and_before_the_end() -> None:
    output: list[bytes] = []
    ended: list[int] = []
    process = ContainerProcess(
        Start(["sh", "-c", "echo 1; echo 2 >&2; echo 3"], Path("/"), ENVIRONMENT),
        on_output=output.append,
        on_exit=lambda code: ended.append(len(b"".join(output))),
    )
    assert process.wait(10) == 0
    assert b"".join(output) == b"1\n2\n3\n"
    assert ended == [6]


def test_output_that_nobody_can_take_does_not_keep_the_end_from_being_seen() -> None:
    ended: list[int] = []

    def refuse(chunk: bytes) -> None:
        raise RuntimeError("no room")

    process = ContainerProcess(
        # A pipe that is not read any more would end the command.
        Start(["sh", "-c", "echo 1; sleep 0.1; echo 2; exit 3"], Path("/"), ENVIRONMENT),
        on_output=refuse,
        on_exit=ended.append,
    )
    assert process.wait(10) == 3
    assert ended == [3]


def test_nothing_is_inherited_but_the_given_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_HOST", "x")
    output: list[bytes] = []
    assert start("env; ls /proc/self/fd | wc -w", output).wait(10) == 0
    text = b"".join(output).decode()
    assert "SECRET_OF_THE_HOST" not in text
    # Standard input, output, error, and the directory that ls itself has open.
    assert int(text.split()[-1]) == 4


@pytest.mark.usefixtures("background_job")
def test_a_command_ignores_no_signal_though_the_account_does() -> None:
    output: list[bytes] = []
    assert start("grep SigIgn /proc/self/status", output).wait(10) == 0
    ignored = int(b"".join(output).split()[1], 16)
    for number in (signal.SIGINT, signal.SIGPIPE):
        assert not ignored >> number - 1 & 1


def test_standard_input_is_empty() -> None:
    assert start('test -z "$(cat)"').wait(10) == 0


def test_sigterm_reaches_the_command_only() -> None:
    output: list[bytes] = []
    script = "trap 'echo main' TERM; (trap 'echo child' TERM; echo up; sleep 0.4) & wait; wait"
    process = start(script, output)
    eventually(lambda: b"up" in b"".join(output))
    process.terminate()
    assert process.wait(10) == 0
    assert b"".join(output).split() == [b"up", b"main"]


def test_what_the_command_leaves_behind_is_killed_wherever_it_went() -> None:
    output: list[bytes] = []
    # A daemon: in a session of its own, with its parent gone, ignoring SIGTERM.
    daemon = "setsid sh -c \"trap '' TERM; echo \\$\\$; sleep 60\" & sleep 0.2"
    process = start(f"({daemon}); exit 4", output)
    assert process.wait(10) == 4
    assert not psutil.pid_exists(int(b"".join(output)))


def test_kill_ends_every_process_of_the_container() -> None:
    output: list[bytes] = []
    process = start("trap '' TERM; setsid sleep 60 & echo $!; sleep 60", output)
    eventually(lambda: b"\n" in b"".join(output))
    supervisor = psutil.Process(process.pid)
    eventually(lambda: len(supervisor.children(recursive=True)) == 3)
    children = supervisor.children(recursive=True)
    process.kill()
    assert process.wait(10) == 137
    assert not any(child.is_running() for child in children)


def test_orders_to_an_ended_container_are_ignored() -> None:
    process = start("true")
    assert process.wait(10) == 0
    process.terminate()
    process.kill()


def test_other_children_of_the_account_are_not_reaped() -> None:
    other = subprocess.Popen(["sh", "-c", "exit 9"])
    assert start("true").wait(10) == 0
    assert other.wait(10) == 9


def test_no_zombies() -> None:
    for process in [start("sleep 0 & exit 1") for _ in range(5)]:
        assert process.wait(10) == 1
    children = psutil.Process().children(recursive=True)
    assert [c for c in children if c.status() == psutil.STATUS_ZOMBIE] == []


ACCOUNT = """
import os, sys, time
from pathlib import Path
from threading import Event, Thread
from localaws.ecs.process import ContainerProcess
from localaws.ecs.sandbox import Start
complete, lines = Event(), []
def show(chunk):
    lines.extend(chunk.split())
    if len(lines) == 2:
        complete.set()
def run():
    # Started by a thread that ends: its end must not take the container along.
    script = "trap '' TERM; echo $$; setsid sleep 60 & echo $!; sleep 60"
    ContainerProcess(Start(["sh", "-c", script], Path("/"), {"PATH": sys.argv[1]}),
                     on_output=show)
thread = Thread(target=run); thread.start(); thread.join()
# Inherits all descriptors, and so the container's control pipe, which stays open.
complete.wait()
heir = os.fork()
if heir:
    print(heir, *map(int, lines), flush=True)
time.sleep(20)
"""


def test_an_account_that_is_killed_leaves_no_process() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ACCOUNT, os.environ["PATH"]], stdout=subprocess.PIPE
    ) as account:
        assert account.stdout is not None
        heir, *pids = map(int, account.stdout.readline().split())
        assert all(psutil.pid_exists(pid) for pid in pids)
        account.send_signal(signal.SIGKILL)
    eventually(lambda: not any(psutil.pid_exists(pid) for pid in pids))
    assert psutil.pid_exists(heir)
    os.kill(heir, signal.SIGKILL)


def test_a_supervisor_that_is_killed_takes_its_command_along() -> None:
    output: list[bytes] = []
    process = start("echo $$; sleep 60", output)
    eventually(lambda: b"\n" in b"".join(output))
    os.kill(process.pid, signal.SIGKILL)
    eventually(lambda: not psutil.pid_exists(int(b"".join(output))))
