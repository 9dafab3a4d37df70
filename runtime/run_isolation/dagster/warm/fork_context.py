"""What Dagster makes processes with: a context of ``multiprocessing`` that asks for forks.

Runs in: server, which asks the template for runs, or the spawner; run, which asks its keeper for
steps.
"""

from __future__ import annotations

import io
import json
import os
import socket
from collections.abc import Callable, Iterator
from multiprocessing import popen_fork, popen_spawn_posix, process, reduction, spawn
from multiprocessing import queues as mp_queues
from multiprocessing.context import BaseContext, set_spawning_popen
from threading import Lock
from typing import Any, Final

from run_isolation.dagster.warm import channel
from run_isolation.dagster.warm.keeper import Grace
from run_isolation.dagster.warm.new_interpreter import FIRST_INHERITED, Kept, NewInterpreter
from run_isolation.dagster.warm.primitives import EventFd, one_way_queue
from run_isolation.dagster.warm.process_state import ProcessState
from run_isolation.dagster.warm.spawner import Spawner
from run_isolation.start_run_timers import FORK_SECONDS

_LOST: Final = 255
"""Exit code of a process whose keeper is gone, as in multiprocessing's forkserver."""

inherited_fds: list[int] = []
"""In a process that was asked for: the descriptors that its pickled object refers to."""


class TemplateGoneError(Exception):
    """Nobody forks processes any more."""


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
        payload = os.memfd_create("process")
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                self._pickle(process_object, payload)
                arguments = process_object._args
                cancel = next((a.fileno() for a in arguments if isinstance(a, EventFd)), None)
                channel.send(self._control, theirs, payload, cancel, self._fds)
            ours.settimeout(FORK_SECONDS)
            first = self._hear(ours)
        except (OSError, ValueError) as error:
            ours.close()
            raise TemplateGoneError(f"{error}") from error
        finally:
            os.close(payload)
        if "error" in first:
            ours.close()
            raise OSError(first["error"])
        ours.settimeout(None)
        self.pid = first["pid"]
        self._channel = ours
        self.sentinel = ours.fileno()

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
                self.returncode = end["exit_code"]
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


class WarmProcess(process.BaseProcess):
    """Has the start method ``spawn``, so that what user code starts from it is as it would be."""

    _start_method = "spawn"

    def __init__(self, context: KeptContext, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._context: KeptContext | None = context

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_context": None}

    def _Popen(self, _: process.BaseProcess) -> Any:  # noqa: N802  # multiprocessing's name
        assert self._context is not None  # noqa: S101  # for mypy: no child starts itself
        return self._context.popen(self)


class KeptContext(BaseContext):
    """A context whose processes are spawned, each with a keeper.

    Args:
        grace: Of the keepers.
    """

    def __init__(self, grace: Grace | None = None) -> None:
        self._spawner = Spawner(grace or Grace())

    def get_start_method(self, allow_none: bool = False) -> str:
        """Its name."""
        return ForkedPopen.method

    def Process(self, *args: Any, **kwargs: Any) -> WarmProcess:  # noqa: N802
        """Takes what ``multiprocessing.Process`` takes."""
        return WarmProcess(self, *args, **kwargs)

    def Event(self) -> EventFd:  # noqa: N802  # multiprocessing's name
        """Between any processes."""
        return EventFd()

    def Queue(self, maxsize: int = 0) -> mp_queues.Queue[Any]:  # noqa: N802
        """Without a limit, between two processes."""
        return one_way_queue()

    def popen(self, process_object: WarmProcess) -> Any:
        """Starts a process."""
        return self.spawn(process_object)

    def spawn(self, process_object: WarmProcess) -> Any:
        """Starts one with an interpreter of its own."""
        return SpawnedPopen(process_object, self._spawner.control())


class WarmContext(KeptContext):
    """A context whose processes are forked by whoever listens at the other end of ``control``.

    Args:
        control: What ``channel.control_pair`` gave.
        on_loss: Called once, when the other end is gone; processes are spawned from then on.
        grace: Of the keepers of those.
    """

    def __init__(
        self, control: socket.socket, on_loss: Callable[[str], None], grace: Grace | None = None
    ) -> None:
        super().__init__(grace)
        self._control = control
        self._on_loss = on_loss
        self._lost = False

    def check(self) -> None:
        """Says so when the other end is gone."""
        if self._lost:
            return
        try:
            gone = self._control.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK) == b""
        except BlockingIOError:
            return
        except OSError:
            gone = True
        if gone:
            self._lose("Its process is gone.")

    def popen(self, process_object: WarmProcess) -> Any:
        """Starts a process."""
        self.check()
        if not self._lost:
            try:
                return ForkedPopen(process_object, self._control)
            except TemplateGoneError as error:
                self._lose(str(error))
        return self.spawn(process_object)

    def _lose(self, why: str) -> None:
        if not self._lost:
            self._lost = True
            self._on_loss(why)


def taken(ended: process.BaseProcess) -> tuple[float, int] | None:
    """CPU seconds and bytes of memory of a run that is over; None where it was spawned."""
    popen = getattr(ended, "_popen", None)
    return (popen.cpu_seconds, popen.memory_bytes) if isinstance(popen, ForkedPopen) else None
