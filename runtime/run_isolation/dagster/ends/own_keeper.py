"""Isolated runs get a keeper: their process forks before it imports anything.

Runs in: keeper and run, where they are isolated.

The one that goes on is the run's. The other one, with 12 MiB of its own, is its parent: it adopts
what the run orphans, passes signals on, ends what is left, and ends as the run did. Other runs
have the keeper of ``warm.keeper``; what a run says to either is here, too.
"""

from __future__ import annotations

import gc
import os
import resource
import select
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NoReturn

from run_isolation.dagster.processes import leftovers, linux
from run_isolation.dagster.processes.children import Children

GRACE_SECONDS: Final = 5.0
"""What a process has from the end of its run, or step, to its own: for exit handlers, which flush
the buffers of clients. Sentry's takes 2 s at most
(https://docs.sentry.io/platforms/python/configuration/options/#shutdown_timeout)."""
TELL_SECONDS: Final = 5.0
"""What it has then to say on the run what was left. After that its keeper kills it: one whose
threads are stuck in native code with Python's lock held can neither speak nor end."""
TERM_SECONDS: Final = 5.0
"""Between SIGTERM and SIGKILL, for programs that a run has left behind."""

_PASSED_ON: Final = (
    *(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT),
    *(signal.SIGUSR1, signal.SIGUSR2),
)
"""What is sent to a process from outside, and ends it where it handles none."""


@dataclass(frozen=True)
class Keeper:
    """Of this process.

    Attributes:
        pid: Its process id.
        over: A descriptor. What is written to it, one byte, is the exit code of a run that is over.
        pipe: What the descriptor is: user code may close it, and get the same number for a file.
    """

    pid: int
    over: int
    pipe: int

    def say_over(self, exit_code: int) -> None:
        """The run is over: its process is not waited for any longer than it has to be."""
        with suppress(OSError):
            if os.fstat(self.over).st_ino == self.pipe:
                os.write(self.over, bytes([exit_code]))


keeper: Keeper | None = None
"""Of this process, where it is a run's and has one."""


def kept_by(pid: int, over: int) -> None:
    """In a run's process: this is its keeper."""
    global keeper
    keeper = Keeper(pid, over, os.fstat(over).st_ino)


def get_keeper() -> None:
    """Forks, and returns in the child. This very process becomes its keeper, and ends as it does.

    To be called before anything starts a thread; where one did, or no process can be had, there is
    no keeper.
    """
    if len(linux.threads()) > 1:
        return
    gc.freeze()  # the run's collector would write to all that they share
    over, say_over = os.pipe2(os.O_CLOEXEC)
    linux.adopt_orphans()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON)
    children = Children()
    ours = os.getpid()
    try:
        run = os.fork()
    except OSError:
        run = 0
    if run:
        os.close(say_over)
        _Keeping(run, over, children, before).keep()
    children.forget()
    os.close(over)
    if os.getpid() != ours:
        linux.die_with_parent(ours)
        os.setpgid(0, 0)
        # Not its keeper, which is far smaller.
        linux.let_go_first(os.getpid())
        kept_by(ours, say_over)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Keeping:
    """What a keeper does.

    Args:
        run: Process id of the run.
        over: Where the run says that it is over.
        children: Of this process.
        mask: Signals that are blocked outside of the fork.
    """

    def __init__(self, run: int, over: int, children: Children, mask: Iterable[int]) -> None:
        self._run = run
        self._over = over
        self._children = children
        self._exit_code: int | None = None
        self._said: int | None = None
        self._deadline: float | None = None
        linux.call_process("run-keeper")
        for number in _PASSED_ON:
            signal.signal(number, self._pass_on)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def keep(self) -> NoReturn:
        """Ends this process when nothing of the run is left."""
        poll = select.poll()
        for source in (self._children, self._over):
            poll.register(source, select.POLLIN)
        while self._exit_code is None:
            if any(fd == self._over for fd, _ in poll.poll(milliseconds_to(self._deadline))):
                self._said = heard_over(self._over)
                if self._said is not None:
                    self._deadline = time.monotonic() + GRACE_SECONDS + TELL_SECONDS
                poll.unregister(self._over)
            self._reap()
            if self._deadline is not None and time.monotonic() > self._deadline:
                say_killed(self._run)
                leftovers.end(self._children, self._reap, 0)
        leftovers.end(self._children, self._reap, TERM_SECONDS, linux.is_copy)
        _end_as(self._exit_code if self._said is None else self._said)

    def _pass_on(self, number: int, _: object) -> None:
        if self._exit_code is None:
            with suppress(ProcessLookupError):  # it may have been reaped just now
                os.kill(self._run, number)

    def _reap(self) -> None:
        for pid, exit_code in self._children.ended():
            if pid == self._run:
                self._exit_code = exit_code


def heard_over(over: int) -> int | None:
    """The exit code that a run has said; None where it says none.

    It has ended then, or user code has closed descriptors that are not its own, and it goes on.
    """
    said = os.read(over, 1)
    return said[0] if said else None


def say_killed(run: int) -> None:
    """In the log: a process that holds Python's lock cannot say it on the run itself."""
    print(f"Process {run} did not exit after its run was over; it was killed.", flush=True)


def milliseconds_to(deadline: float | None) -> float | None:
    """For poll."""
    return None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000 + 1


def _end_as(exit_code: int) -> NoReturn:
    """Ends this process as another one has ended."""
    if exit_code < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if -exit_code not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(-exit_code, signal.SIG_DFL)
        os.kill(os.getpid(), -exit_code)
        # The first process of a container is spared.
        exit_code = 128 - exit_code
    os._exit(exit_code)
