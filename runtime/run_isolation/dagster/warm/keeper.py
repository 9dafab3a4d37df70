"""The keeper of one run: parent of its process and of its steps, and what cleans up after it.

Runs in: keeper; run and step in their first moments.

It is forked from the template or the spawner, has one thread, and imports nothing. Every process
of the run is below it, whatever becomes of those in between, as it adopts orphans.
"""

from __future__ import annotations

import mmap
import os
import resource
import select
import shutil
import socket
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from struct import Struct
from typing import Final, NoReturn

from run_isolation.dagster.ends import own_keeper
from run_isolation.dagster.processes import leftovers, linux
from run_isolation.dagster.processes.children import Children
from run_isolation.dagster.warm import channel

CANCEL_SECONDS: Final = 120.0
"""For a run that was canceled, as for a task that ECS stops
(https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html)."""


AT_END: Final = Struct("Q")
"""What a run says at its end: bytes of memory, as the watchdog measures them. It looks four times a
second, and may not have seen a run that is shorter."""

Life = Callable[[channel.Request, str, socket.socket | None, mmap.mmap, int], NoReturn]
"""What a new process does: gets what was asked for, the run's directory for temporary files, where
it can ask for steps (None if it is one), memory for AT_END, and a pipe in which a program that it
executes says where its stack begins."""


@dataclass(frozen=True)
class Grace:
    """How long a keeper waits, in seconds."""

    cancel: float = CANCEL_SECONDS
    over: float = own_keeper.GRACE_SECONDS + own_keeper.TELL_SECONDS
    """For the process of a run that is over."""
    term: float = own_keeper.TERM_SECONDS


@dataclass
class Keeper:
    """Keeps one run.

    Args:
        request: For the run's process.
        grace: How long it waits.
        live: What each new process does.
    """

    request: channel.Request
    grace: Grace
    live: Life
    _steps: dict[int, socket.socket] = field(default_factory=dict)
    _deadline: float | None = None
    """When the run's process is killed."""
    _said: int | None = None
    """The exit code that the run has said when it was over."""
    _exit_code: int | None = None

    def keep(self) -> None:
        """Starts the run; returns when nothing of it is left."""
        linux.adopt_orphans()
        linux.call_process("run-keeper")
        self._children = Children()
        self._control, run_control = channel.control_pair()
        self._at_end = mmap.mmap(-1, AT_END.size)  # shared with the run
        self._over, say_over = os.pipe2(os.O_CLOEXEC)
        self._stack, self._say_stack = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        # Last: a keeper that gets no further leaves none.
        self._directory = tempfile.mkdtemp(prefix="run-")
        try:
            self._run = self._fork(self.request, run_control, say_over)
        except OSError as error:
            channel.answer(self.request.channel, error=f"No process for the run: {error}")
            _remove(self._directory)
            return
        run_control.close()
        os.close(say_over)
        os.close(self._say_stack)
        channel.answer(self.request.channel, pid=self._run)
        self._watch()
        self._end_leftovers()
        _remove(self._directory)
        self._say_ended()

    def _fork(
        self, request: channel.Request, control: socket.socket | None, over: int | None
    ) -> int:
        keeper = os.getpid()
        pid = os.fork()
        if pid:
            return pid
        try:
            linux.die_with_parent(keeper)
            self._children.forget()
            self._control.close()
            os.close(self._over)
            if over is not None:
                own_keeper.kept_by(keeper, over)
            for step in self._steps.values():
                step.close()
            self.request.channel.close()
            self.live(request, self._directory, control, self._at_end, self._say_stack)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)  # its life has failed

    def _say_ended(self) -> None:
        taken = resource.getrusage(resource.RUSAGE_CHILDREN)
        [memory_bytes] = AT_END.unpack(self._at_end[:])
        channel.answer(
            self.request.channel,
            exit_code=self._exit_code if self._said is None else self._said,
            cpu_seconds=taken.ru_utime + taken.ru_stime,
            memory_bytes=memory_bytes,
        )

    def _watch(self) -> None:
        """Returns when the run's process is over."""
        poll = select.poll()
        heard = (self.request.channel, self._control, self._children, self._over)
        for source in heard:
            poll.register(source, select.POLLIN)
        if self.request.cancel is not None:
            poll.register(self.request.cancel, select.POLLIN)
        while self._exit_code is None:
            for fd, _ in poll.poll(own_keeper.milliseconds_to(self._deadline)):
                if fd != self._children.fileno() and not self._hear(fd):
                    poll.unregister(fd)
            self._reap()
            if self._deadline is not None and time.monotonic() > self._deadline:
                if self._said is not None:
                    own_keeper.say_killed(self._run)
                self._end(0)

    def _hear(self, fd: int) -> bool:
        """Does what is to be done; whether there may be more from there."""
        if fd == self._control.fileno():
            return self._start_step()
        if fd == self.request.cancel:
            # Dagster sets it at the end of each run, too.
            self._end_within(self.grace.cancel)
        elif fd == self._over:
            self._said = own_keeper.heard_over(fd)
            if self._said is not None:
                self._end_within(self.grace.over)
        else:
            self._end(self.grace.term)  # the server is gone
        return False

    def _end_within(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        self._deadline = deadline if self._deadline is None else min(self._deadline, deadline)

    def _start_step(self) -> bool:
        """Forks what the run asks for; whether it can ask again."""
        try:
            request = channel.receive(self._control)
        except OSError:
            traceback.print_exc()
            return True
        if request is None:
            return False
        try:
            pid = self._fork(request, None, None)
        except OSError as error:
            channel.answer(request.channel, error=f"No process for a step: {error}")
            channel.close(request)
            return True
        channel.answer(request.channel, pid=pid)
        self._steps[pid] = request.channel.dup()
        channel.close(request)
        return True

    def _reap(self) -> None:
        for pid, exit_code in self._children.ended():
            step = self._steps.pop(pid, None)
            if pid == self._run:
                self._exit_code = exit_code
            elif step is not None:
                channel.answer(step, exit_code=exit_code)
                step.close()

    def _end(self, term_seconds: float) -> None:
        leftovers.end(self._children, self._reap, term_seconds)

    def _end_leftovers(self) -> None:
        try:
            # Of its program, if it has one of its own. It said so itself: by the time that a keeper
            # is given a CPU, the run may be over, and the kernel knows no stack of it any more.
            stack = os.read(self._stack, 100) or None
        except BlockingIOError:
            stack = None  # a fork has the other end
        leftovers.end(
            *(self._children, self._reap, self.grace.term),
            lambda pid: pid not in self._steps and linux.is_copy(pid, stack),
        )


def _remove(directory: str) -> None:
    """Removes a directory with all that is in it, also what a run has made read-only."""
    shutil.rmtree(directory, ignore_errors=True)
    if not os.path.exists(directory):
        return
    for parent, names, _ in os.walk(directory):
        for name in names:
            path = os.path.join(parent, name)
            if not os.path.islink(path):
                os.chmod(path, 0o700)
    shutil.rmtree(directory, ignore_errors=True)
