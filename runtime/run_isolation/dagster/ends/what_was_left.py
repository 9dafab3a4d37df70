"""What user code has left in a process of a run, and below it: for an event that says so.

Runs in: run and step.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from run_isolation.dagster.ends import own_keeper
from run_isolation.dagster.processes import linux

_MOST: Final = 5
"""So many threads, and so many processes, are named."""
_LONGEST: Final = 60
"""Characters of a thread's name or a command line."""
_HELPERS: Final = ("multiprocessing.forkserver", "resource_tracker")
"""In command lines of ``multiprocessing`` and of joblib's loky."""
_ADVICE: Final = "Work that should continue belongs in an op that waits for it."


@dataclass(frozen=True)
class Leavings:
    """What was found.

    Attributes:
        threads: Names of those that Python waits for.
        processes: What there is to say of each.
        busy: What the main thread does, where that is all that there is.
        hangs: Whether the process itself is there for too long.
    """

    threads: Sequence[str]
    processes: Sequence[str]
    busy: str | None
    hangs: bool

    @classmethod
    def found(cls, keeper: int | None, *, hangs: bool) -> Leavings:
        """Looks at this process.

        Args:
            keeper: The process below which all of the run is; None looks at those alone that
                ``multiprocessing`` waits for.
            hangs: Whether the process is there for too long. Otherwise it is about to end, and
                only processes are left by it.
        """
        processes = _below(keeper) if keeper is not None else _waited_for()
        threads = list(_threads()) if hangs else []
        busy = _main_thread() if hangs and not threads and not _waited_for() else None
        return cls(threads, processes, busy, hangs)

    def __bool__(self) -> bool:
        return self.hangs or bool(self.processes)

    def told(self, whose: str) -> str:
        """As sentences.

        Args:
            whose: What was executed: "this run".
        """
        left = [*_named("thread", self.threads), *_named("process", self.processes)]
        whose = f"{whose[0].upper()}{whose[1:]}"
        grace = f"{own_keeper.GRACE_SECONDS:.0f} s"
        if not left:
            place = f", while in {self.busy}" if self.busy else ""
            return (
                f"{whose} was over but its process had not exited: it was killed after {grace}"
                f"{place}. Exit handlers have {grace}."
            )
        were = "They were" if len(self.threads) + len(self.processes) > 1 else "It was"
        when = f"after {grace}" if self.hangs else "with its process"
        busy = f" Its process was in {self.busy}." if self.busy else ""
        these = " and ".join(left)
        return f"{whose} left {these} running when it ended. {were} stopped {when}.{busy} {_ADVICE}"


def _named(kind: str, names: Sequence[str]) -> Iterator[str]:
    if not names:
        return
    kinds = kind if len(names) == 1 else {"thread": "threads", "process": "processes"}[kind]
    more = len(names) - _MOST
    yield f"{kinds} {', '.join(names[:_MOST])}{f' and {more} more' if more > 0 else ''}"


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _threads() -> Iterator[str]:
    for thread in threading.enumerate():
        if not thread.daemon and thread is not threading.main_thread():
            yield f"'{_short(thread.name)}'"


def _waited_for() -> list[str]:
    """Processes that the end of this one waits for."""
    return [_told(child.pid) for child in multiprocessing.active_children() if child.pid]


def _below(keeper: int) -> list[str]:
    """All processes of the run but this one, and helpers that end by themselves with it."""
    own = os.getpid()
    if linux.only_child(keeper, own) and not _has_children():
        return []
    return [
        _told(pid)
        for pid in linux.descendants(keeper)
        if pid != own and not linux.is_over(pid) and not _helps(pid)
    ]


def _helps(pid: int) -> bool:
    if not linux.is_program(pid):
        return False  # a worker has the command line of the server that forked it
    command = linux.command(pid)
    return any(helper in command for helper in _HELPERS)


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _told(pid: int) -> str:
    if linux.is_copy(pid):
        return f"{pid} (a copy of the run's process by os.fork())"
    return f"{pid} `{_short(linux.command(pid))}`"


def _main_thread() -> str:
    frames: dict[int, Any] = sys._current_frames()
    frame = frames.get(threading.main_thread().ident or 0)
    if frame is None:
        return "native code"
    last = traceback.extract_stack(frame)[-1]
    return f"`{last.name}` ({last.filename}, line {last.lineno})"
