"""Makes a forked process a new interpreter, as ``multiprocessing`` spawns one.

Runs in: server, which pickles what the interpreter begins with; keeper's fork, which executes it;
run, which unpickles that.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import pickle
import signal
import socket
from dataclasses import dataclass
from multiprocessing import process, spawn, util
from typing import Any, Final, NoReturn

from run_isolation.dagster.ends import own_keeper
from run_isolation.dagster.processes import linux
from run_isolation.dagster.warm.channel import Request, wait_for_go
from run_isolation.dagster.warm.process_state import ProcessState

_PAYLOAD, _PARENT, _OVER, _STACK, FIRST_INHERITED = range(3, 8)
"""Descriptors of the new interpreter: what it unpickles; one that is readable when its parent is
gone; where it says that the run is over, and where its stack begins; then what its process object
refers to."""

_PROGRAM: Final = (
    f"import sys; from multiprocessing.spawn import _main; sys.exit(_main({_PAYLOAD}, {_PARENT}))"
)


@dataclass(frozen=True)
class NewInterpreter:
    """What is executed.

    Attributes:
        command: The interpreter and its arguments.
        state: Of the process that asks for it.
    """

    command: list[str | bytes]
    state: ProcessState

    @classmethod
    def like_this_one(cls) -> NewInterpreter:
        """With the interpreter and the options of the process that calls."""
        options: list[str] = vars(util)["_args_from_interpreter_flags"]()
        # The last argument is for spawn.freeze_support, which user code may call.
        asked = ["-c", _PROGRAM, "--multiprocessing-fork"]
        command: list[str | bytes] = [spawn.get_executable(), *options, *asked]
        return cls(command, ProcessState.of_this_one())


class Kept:
    """What ``multiprocessing`` in the new interpreter believes to be the process object."""

    def __init__(self, process_object: process.BaseProcess) -> None:
        self._process_object = process_object

    def _bootstrap(self, parent_sentinel: int) -> int:
        os.write(_STACK, linux.stack(os.getpid()))
        os.close(_STACK)
        for descriptor in (_PARENT, _OVER):
            os.set_inheritable(descriptor, False)
        own_keeper.kept_by(os.getppid(), _OVER)
        process_object: Any = self._process_object
        code: int = process_object._bootstrap(parent_sentinel)
        return code


def live(
    request: Request, directory: str, control: socket.socket | None, _: mmap.mmap, stack: int
) -> NoReturn:
    """Executes the interpreter that was asked for; the life of a spawner's processes.

    Raises:
        OSError: It can't be executed.
    """
    os.setpgid(0, 0)
    request.channel.close()
    linux.let_go_first(os.getpid())
    with open(request.payload, "rb", closefd=False) as payload:
        payload.seek(0)
        asked: NewInterpreter = pickle.load(payload)  # noqa: S301  # our own server wrote it
        rest = payload.tell()
    os.lseek(request.payload, rest, os.SEEK_SET)
    asked.state.take_on_in_kernel()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    keeper = own_keeper.keeper
    assert control is not None and keeper is not None  # noqa: S101, PT018  # nobody asks for steps
    wait_for_go(request)
    _place(request.payload, control.fileno(), keeper.over, stack, *request.inherited)
    environment = {**asked.state.environment, "TMPDIR": directory}
    os.execve(asked.command[0], asked.command, environment)  # noqa: S606  # no shell is needed


def _place(*descriptors: int) -> None:
    """Has the next program find them from _PAYLOAD on, and no others."""
    after = _PAYLOAD + len(descriptors)
    copies = [fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, after) for one in descriptors]
    for number, copy in enumerate(copies, _PAYLOAD):
        os.dup2(copy, number)
