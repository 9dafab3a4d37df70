"""One process that another one is asked for: what ``multiprocessing`` knows of it.

Runs in: server, which asks the template for runs, or the spawner; run, which asks its keeper for
steps.
"""

from __future__ import annotations

import io
import json
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from multiprocessing import popen_fork, popen_spawn_posix, process, reduction, spawn
from multiprocessing.context import set_spawning_popen
from threading import Lock
from typing import Any, Final

from run_isolation import start_run_timers
from run_isolation.dagster.warm import channel
from run_isolation.dagster.warm.new_interpreter import FIRST_INHERITED, Kept, NewInterpreter
from run_isolation.dagster.warm.primitives import EventFd
from run_isolation.dagster.warm.process_state import ProcessState

_LOST: Final = 255
"""Exit code of a process whose keeper is gone, as in multiprocessing's forkserver."""

inherited_fds: list[int] = []
"""In a process that was asked for: the descriptors that its pickled object refers to."""


class NotForkedError(OSError):
    """There is no process, and will be none."""


class SilentError(NotForkedError):
    """Whoever forks processes has not answered in time. What it may still fork does nothing.

    Attributes:
        channel: Readable when it has got to this process.
    """

    def __init__(self, channel: socket.socket) -> None:
        super().__init__(f"It has not answered for {start_run_timers.FORK_SECONDS:g} seconds.")
        self.channel = channel


class _DupFd:
    """Pickled in the place of a descriptor."""

    def __init__(self, index: int) -> None:
        self._index = index

    def detach(self) -> int:
        return inherited_fds[self._index]


class ForkedPopen(popen_fork.Popen):  # type: ignore[misc, unused-ignore]
    """A process that another one has forked: what ``multiprocessing`` asks of each process.

    Attributes:
        sentinel: A descriptor that is readable when the process is over.
        cpu_seconds: Of a run that is over, with all its processes.
        memory_bytes: What a run's process had at its end; 0 where it could not say so.
    """

    method = "run-isolation"
    DupFd = _DupFd

    def __init__(self, process_object: process.BaseProcess, control: socket.socket) -> None:
        self._fds: list[int] = []
        self._control = control
        self._reading = Lock()
        self._heard = b""
        self.cpu_seconds = 0.0
        self.memory_bytes = 0
        super().__init__(process_object)

    def duplicate_for_child(self, fd: int) -> int:
        """Index of the descriptor in the process."""
        self._fds.append(fd)
        return len(self._fds) - 1

    def _launch(self, process_object: Any) -> None:
        """Asks for the process, and lets it go once it is known.

        Raises:
            NotForkedError: Nobody was asked, or no answer came: the process, if there is one, does
                nothing, and ends.
        """
        with ExitStack() as opened:
            payload = os.memfd_create("process")
            opened.callback(os.close, payload)
            ours, theirs = socket.socketpair()
            withdrawn = opened.enter_context(ExitStack())
            withdrawn.callback(ours.close)
            opened.enter_context(theirs)
            waits, go = os.pipe()
            opened.callback(os.close, go)
            opened.callback(os.close, waits)
            self._pickle(process_object, payload)
            arguments = process_object._args
            cancel = next((a.fileno() for a in arguments if isinstance(a, EventFd)), None)
            try:
                channel.send(self._control, theirs, payload, waits, cancel, self._fds)
            except OSError as error:
                raise NotForkedError(f"It can't be asked: {error}") from error
            theirs.close()
            try:
                self.pid = self._known(ours)
            except BaseException:
                os.write(go, channel.NO_GO)
                raise
            os.write(go, channel.GO)
            withdrawn.pop_all()
        self._channel = ours
        self.sentinel = ours.fileno()

    def _known(self, ours: socket.socket) -> int:
        """The number of the process.

        Raises:
            NotForkedError: No answer, or one that says why there is none.
        """
        ours.settimeout(start_run_timers.FORK_SECONDS)
        try:
            first = self._hear(ours)
        except TimeoutError:
            raise SilentError(ours.dup()) from None
        except (OSError, EOFError) as error:
            raise NotForkedError(f"{error}") from error
        if "error" in first:
            raise NotForkedError(first["error"])
        ours.settimeout(None)
        return int(first["pid"])

    def _pickle(self, process_object: process.BaseProcess, payload: int) -> None:
        buffer = io.BytesIO()
        set_spawning_popen(self)  # type: ignore[arg-type]
        try:
            for part in self._parts(process_object):
                reduction.dump(part, buffer)
        finally:
            set_spawning_popen(None)
        with open(payload, "wb", closefd=False) as file:
            file.write(buffer.getbuffer())

    def _parts(self, process_object: process.BaseProcess) -> Iterator[object]:
        """What the process unpickles, in this order."""
        yield ProcessState.of_this_one()
        yield process_object

    def _hear(self, ours: socket.socket) -> dict[str, Any]:
        while b"\n" not in self._heard:
            chunk = ours.recv(4096)
            if not chunk:
                raise EOFError("It ended without an answer.")
            self._heard += chunk
        line, self._heard = self._heard.split(b"\n", 1)
        return dict(json.loads(line))

    def poll(self, flag: int = os.WNOHANG) -> int | None:
        """The exit code; None while it runs. A flag of 0 waits for it."""
        with self._reading:
            if self.returncode is None:
                self._channel.settimeout(0.0 if flag == os.WNOHANG else None)
                try:
                    end = self._hear(self._channel)
                except BlockingIOError:
                    return None
                except (OSError, EOFError):
                    end = {"exit_code": _LOST}
                self.cpu_seconds = end.get("cpu_seconds", 0.0)
                self.memory_bytes = end.get("memory_bytes", 0)
                self.returncode = end.get("exit_code", _LOST)
            return self.returncode

    def close(self) -> None:
        """Forgets the process, which ends it where it runs."""
        self._channel.close()


class SpawnedPopen(ForkedPopen):
    """A process with an interpreter of its own, which another one's fork executes."""

    DupFd = vars(popen_spawn_posix)["_DupFd"]

    def duplicate_for_child(self, fd: int) -> int:
        """The descriptor in the process."""
        return FIRST_INHERITED + super().duplicate_for_child(fd)

    def _parts(self, process_object: process.BaseProcess) -> Iterator[object]:
        yield NewInterpreter.like_this_one()
        yield spawn.get_preparation_data(process_object.name)
        yield Kept(process_object)


def taken(ended: process.BaseProcess) -> tuple[float, int] | None:
    """CPU seconds and bytes of memory of a run that is over; None where it was spawned."""
    popen = getattr(ended, "_popen", None)
    return (popen.cpu_seconds, popen.memory_bytes) if isinstance(popen, ForkedPopen) else None
