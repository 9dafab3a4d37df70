"""Ends all processes below this one."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable
from typing import Final

from run_isolation.dagster.warm import linux
from run_isolation.dagster.warm.children import Children

_LOOK_SECONDS: Final = 0.05
_DEAD_SECONDS: Final = 30.0
"""For killed processes to be gone; one that hangs in the kernel is left to the container's end."""
_ROUNDS: Final = 100
"""Most looks for processes that others start while they are being stopped."""


def end(children: Children, reap: Callable[[], None], term_seconds: float) -> None:
    """Ends every descendant, and returns when they are gone.

    Args:
        children: Of this process.
        reap: Reaps them.
        term_seconds: Between SIGTERM and SIGKILL; 0 kills at once.
    """
    if term_seconds > 0:
        _signal(linux.descendants(os.getpid()), signal.SIGTERM)
        # One that is stopped gets no SIGTERM.
        _signal(linux.descendants(os.getpid()), signal.SIGCONT)
        _wait(children, reap, term_seconds)
    _stop_all()
    _signal(linux.descendants(os.getpid()), signal.SIGKILL)
    _wait(children, reap, _DEAD_SECONDS)


def _stop_all() -> None:
    """Stops them first, as one that is killed may have started another in the meantime."""
    stopped: set[int] = set()
    for _ in range(_ROUNDS):
        found = set(linux.descendants(os.getpid()))
        if found <= stopped:
            return
        _signal(found - stopped, signal.SIGSTOP)
        stopped |= found


def _wait(children: Children, reap: Callable[[], None], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    poll = select.poll()
    poll.register(children, select.POLLIN)
    while True:
        reap()
        if not linux.descendants(os.getpid()) or time.monotonic() > deadline:
            return
        # The end of a child's child tells us nothing.
        poll.poll(_LOOK_SECONDS * 1000)


def _signal(pids: set[int] | list[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            continue
