"""An event and a queue between processes that need no named semaphore.

Runs in: server, run and step.

Those of ``multiprocessing`` do, unless their process is forked by their owner; named semaphores
need the resource tracker, a process of its own that costs 10 MiB and the start of an interpreter.
"""

from __future__ import annotations

import multiprocessing.queues
import os
import select
import threading
from multiprocessing import reduction
from multiprocessing.context import assert_spawning
from multiprocessing.synchronize import Event
from typing import Any

DupFd: Any = reduction.DupFd


class EventFd(Event):
    """``multiprocessing.Event``, which Dagster asks for by type, on an eventfd(2)."""

    def __init__(self) -> None:
        # Not the superclass's: it makes the semaphores.
        self._fd = os.eventfd(0)

    def __getstate__(self) -> Any:
        assert_spawning(self)
        return DupFd(self._fd)

    def __setstate__(self, state: Any) -> None:
        self._fd = state.detach()

    def __del__(self) -> None:
        fd, self._fd = getattr(self, "_fd", -1), -1
        if fd >= 0:
            os.close(fd)

    def __repr__(self) -> str:
        return f"<EventFd {'set' if self.is_set() else 'unset'}>"

    def fileno(self) -> int:
        """Readable when the event is set."""
        return self._fd

    def is_set(self) -> bool:
        """Whether any process has set it."""
        return self.wait(0)

    def set(self) -> None:
        """Wakes every process that waits."""
        if not self.is_set():
            os.eventfd_write(self._fd, 1)

    def clear(self) -> None:
        """Makes it unset."""
        if self.is_set():
            os.eventfd_read(self._fd)

    def wait(self, timeout: float | None = None) -> bool:
        """Returns whether it is set, at the latest after ``timeout`` seconds."""
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        return bool(poll.poll(None if timeout is None else timeout * 1000))


class _OwnLock:
    """A lock of this process: each process that gets it has its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[_OwnLock], tuple[()]]:
        return _OwnLock, ()

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        if not block:
            return self._lock.acquire(blocking=False)
        return self._lock.acquire(timeout=-1 if timeout is None else max(timeout, 0.0))

    def release(self) -> None:
        self._lock.release()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class _NoLimit:
    """In the place of the semaphore that counts a queue's items."""

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        return True

    def release(self) -> None:
        pass


class _OneWay:
    """What a queue takes its locks from when one process puts and one gets."""

    @staticmethod
    def Lock() -> _OwnLock:  # noqa: N802  # multiprocessing's name
        return _OwnLock()

    @staticmethod
    def BoundedSemaphore(_: int) -> _NoLimit:  # noqa: N802  # multiprocessing's name
        return _NoLimit()


def one_way_queue() -> multiprocessing.queues.Queue[Any]:
    """A queue in which one process puts and one gets: what Dagster's queues are."""
    return multiprocessing.queues.Queue(ctx=_OneWay())
