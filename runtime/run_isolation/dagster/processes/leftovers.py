"""Ends all processes below this one.

Runs in: keeper.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Set
from typing import Final

from run_isolation.dagster.processes import linux
from run_isolation.dagster.processes.children import Children

_LOOK_SECONDS: Final = 0.05
_DEAD_SECONDS: Final = 30.0
"""For killed processes to be gone; one that hangs in the kernel is left to the container's end."""
_ROUNDS: Final = 100
"""Most looks for processes that others start while they are being stopped."""
_AT_ONCE: Final = 8
"""Most processes that are killed at once. The kernel takes a process's memory apart whatever quota
of CPU the container has, and keeps the container waiting afterwards: 150 at once made the server of
a quarter of a vCPU deaf for three seconds (Linux 6.18)."""
_BATCH_SECONDS: Final = 2.0
"""For so many to be gone."""
_MOST_OF_A_CPU: Final = 0.05
"""Of the time, so much may go into looking: among 180 processes a look takes 5 ms."""
_NICEST: Final = 19


def end(
    children: Children,
    reap: Callable[[], None],
    term_seconds: float,
    is_copy: Callable[[int], bool] = lambda _: False,
) -> None:
    """Ends every descendant, and returns when they are gone.

    Args:
        children: Of this process.
        reap: Reaps them.
        term_seconds: Between SIGTERM and SIGKILL; 0 kills at once.
        is_copy: Which of them are killed at once: copies of the run's process execute its code, and
            what they do at SIGTERM is for the run to do.
    """
    if not children.any():
        return
    os.setpriority(os.PRIO_PROCESS, 0, _NICEST)
    _stop_all(is_copy)
    _kill_all(children, reap, is_copy)
    if term_seconds > 0:
        _signal(linux.descendants(os.getpid()), signal.SIGTERM)
        # One that is stopped gets no SIGTERM.
        _signal(linux.descendants(os.getpid()), signal.SIGCONT)
        _wait(children, reap, term_seconds)
    _stop_all(_any)
    _kill_all(children, reap, _any)
    _wait(children, reap, _DEAD_SECONDS)


def _kill_all(children: Children, reap: Callable[[], None], wanted: Callable[[int], bool]) -> None:
    killed: set[int] = set()
    while batch := [
        pid for pid in linux.descendants(os.getpid()) if pid not in killed and wanted(pid)
    ][:_AT_ONCE]:
        _signal(batch, signal.SIGKILL)
        killed.update(batch)
        _wait(children, reap, _BATCH_SECONDS, killed)


def _any(_: int) -> bool:
    return True


def _stop_all(wanted: Callable[[int], bool]) -> None:
    """Stops them first, as one that is killed may have started another in the meantime."""
    stopped: set[int] = set()
    for _ in range(_ROUNDS):
        found = set(filter(wanted, linux.descendants(os.getpid())))
        if found <= stopped:
            return
        _signal(found - stopped, signal.SIGSTOP)
        stopped |= found


def _wait(
    children: Children,
    reap: Callable[[], None],
    seconds: float,
    pids: Set[int] | None = None,
) -> None:
    """Reaps until those of ``pids``, or all below this process, are gone, or the time is over."""
    deadline = time.monotonic() + seconds
    poll = select.poll()
    poll.register(children, select.POLLIN)
    while True:
        reap()
        begun = time.process_time()
        left = set(linux.descendants(os.getpid()))
        if not (left if pids is None else left & pids) or time.monotonic() > deadline:
            return
        # The end of a child's child tells us nothing, so there is a next look.
        pause = max(_LOOK_SECONDS, (time.process_time() - begun) / _MOST_OF_A_CPU)
        next_look = time.monotonic() + pause
        while (rest := next_look - time.monotonic()) > 0:
            poll.poll(rest * 1000)
            reap()


def _signal(pids: set[int] | list[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            continue
