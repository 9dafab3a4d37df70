"""The processes of a run: the one on record, all its descendants, and its steps."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

FIRST_TO_GO: Final = 1000
"""The kernel takes these processes first (https://man7.org/linux/man-pages/man5/proc_pid_oom_score_adj.5.html).
Raising the value needs no privilege."""

_PROC: Final = Path("/proc")
_POLL_SECONDS: Final = 0.02


def processes(pid: int) -> list[psutil.Process]:
    """All processes of the run, the one on record first; none where that one has ended.

    The steps of a run that was forked are its siblings: children of its keeper, which leads the
    session of all of them. A run that was spawned is in the server's session.
    """
    try:
        first = psutil.Process(pid)
        session = os.getsid(pid)
        top = first if session in (pid, os.getsid(0)) else psutil.Process(session)
        others = [one for one in top.children(recursive=True) if one.pid != pid]
        return [first, *others]
    except (psutil.NoSuchProcess, ProcessLookupError):
        return []


def proportional(process: psutil.Process) -> int:
    """Bytes that a process has: proportional set size, so shared pages count once.

    A forked run shares most pages with its template, which a resident set would count in full
    (https://man7.org/linux/man-pages/man5/proc_pid_smaps.5.html).
    """
    try:
        with (_PROC / str(process.pid) / "smaps_rollup").open() as lines:
            for line in lines:
                if line.startswith("Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    with suppress(psutil.Error):
        # A kernel without smaps_rollup, or a process that has ended.
        return int(process.memory_info().rss)
    return 0


def cpu_seconds(process: psutil.Process) -> float:
    """CPU seconds of a process, and of those descendants that it has waited for."""
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)


def let_go_first(pid: int) -> None:
    """Makes the kernel take this process, and what it starts later, before the server."""
    with suppress(OSError):
        (_PROC / str(pid) / "oom_score_adj").write_text(str(FIRST_TO_GO))


def kill(them: Iterable[psutil.Process]) -> None:
    """Ends them at once. The first one first, so that it can't tell of its children's ends."""
    for process in them:
        with suppress(psutil.Error):
            process.kill()


def wait_until_dead(them: Iterable[psutil.Process], seconds: float) -> None:
    """Waits until killed processes have given their memory back, at most so many seconds.

    Not by psutil.wait_procs, which would reap children that multiprocessing waits for.
    """
    deadline = time.monotonic() + seconds
    for process in them:
        while _has_memory(process) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)


def _has_memory(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
