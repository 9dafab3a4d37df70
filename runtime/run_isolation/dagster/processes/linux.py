"""Calls of Linux that Python has no names for, and what /proc says of processes.

Runs in: server, template, keeper, run and step.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Final

# https://man7.org/linux/man-pages/man2/prctl.2.html
_SET_PDEATHSIG: Final = 1
_SET_NAME: Final = 15
_SET_CHILD_SUBREAPER: Final = 36

FIRST_TO_GO: Final = 1000
"""The kernel takes these processes first
(https://man7.org/linux/man-pages/man5/proc_pid_oom_score_adj.5.html)."""

_FORKED_ONLY: Final = 0x40
"""PF_FORKNOEXEC of include/linux/sched.h: forked, and has executed no program since."""

_libc: Final = ctypes.CDLL(None, use_errno=True)
_PROC: Final = Path("/proc")


def die_with_parent(parent: int) -> None:
    """Has the kernel kill this process when its parent ends.

    Args:
        parent: Its process id. One that is gone by now ends this process at once.
    """
    _libc.prctl(_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Makes this process the parent of descendants that lose theirs, in place of init."""
    _libc.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def call_process(name: str) -> None:
    """Names this process for ``ps -o comm``; at most 15 bytes."""
    _libc.prctl(_SET_NAME, name.encode(), 0, 0, 0)


def flush() -> None:
    """Writes what this process has buffered for its standard output and error, in C code, too."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    _libc.fflush(None)


def children(parent: int) -> list[int]:
    """Ids of a process's children."""
    return _families()[parent]


def descendants(ancestor: int) -> list[int]:
    """Ids of all processes below one, the nearest first."""
    families = _families()
    found = list(families[ancestor])
    for pid in found:
        found += families[pid]
    return found


def only_child(parent: int, child: int) -> bool:
    """Whether a process of one thread has no other children than this one; False in doubt.

    Tells what ``children`` does from one file, which not every kernel has (CONFIG_PROC_CHILDREN).
    """
    try:
        return (_PROC / f"{parent}/task/{parent}/children").read_text().split() == [str(child)]
    except OSError:
        return False


def is_copy(pid: int, of: bytes | None = None) -> bool:
    """Whether a process is a fork of a program, with none executed since.

    Args:
        pid: Its process id.
        of: The program's ``stack``; None is this process's.
    """
    its = _stat(pid)
    return bool(its and _is_forked(its) and stack(pid) == (of or stack(os.getpid())) != b"")


def stack(pid: int) -> bytes:
    """Where a process's stack begins: drawn by lot for each program, and the same in its forks.

    The kernel tells it of processes of the same user (PTRACE_MODE_READ_FSCREDS, proc_pid_stat(5)).
    Empty where it does not, and of one that has ended.
    """
    stat = _stat(pid)
    return stat[25] if stat is not None and stat[25] != b"0" else b""


def is_program(pid: int) -> bool:
    """Whether a process has executed a program of its own, and is no mere fork of another one."""
    stat = _stat(pid)
    return stat is not None and not _is_forked(stat)


def _is_forked(stat: list[bytes]) -> bool:
    return bool(int(stat[6]) & _FORKED_ONLY)


def is_over(pid: int) -> bool:
    """Whether a process has ended; its parent may not know yet."""
    stat = _stat(pid)
    return stat is None or stat[0] in (b"Z", b"X")


def proportional(pid: int) -> int:
    """Bytes that a process has: proportional set size, so shared pages count once.

    A forked run shares most pages with its template, which a resident set would count in full
    (https://man7.org/linux/man-pages/man5/proc_pid_smaps.5.html).
    """
    try:
        with (_PROC / str(pid) / "smaps_rollup").open() as lines:
            for line in lines:
                if line.startswith("Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    # A kernel without smaps_rollup, or a process that has ended.
    stat = _stat(pid)
    return int(stat[21]) * os.sysconf("SC_PAGE_SIZE") if stat else 0


def cpu_seconds(pid: int) -> float:
    """CPU seconds of a process, and of those descendants that it has waited for."""
    stat = _stat(pid)
    return sum(map(int, stat[11:15])) / os.sysconf("SC_CLK_TCK") if stat else 0.0


def let_go_first(pid: int) -> None:
    """Makes the kernel take this process, and what it starts later, before the server.

    Raising the value needs no privilege. A kernel that has no such file, or lets nobody write it,
    is no reason to fail a run.
    """
    with suppress(OSError):
        (_PROC / str(pid) / "oom_score_adj").write_text(str(FIRST_TO_GO))


def command(pid: int) -> str:
    """The command line of a process; its name where that is all there is."""
    try:
        words = (_PROC / str(pid) / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        name = (_PROC / str(pid) / "comm").read_text().strip()
    except OSError:
        return "?"
    return b" ".join(words).decode(errors="replace") or name


def _families() -> defaultdict[int, list[int]]:
    families: defaultdict[int, list[int]] = defaultdict(list)
    for entry in os.scandir(_PROC):
        if entry.name.isdigit():
            stat = _stat(int(entry.name))
            if stat is not None:
                families[int(stat[1])].append(int(entry.name))
    return families


def _stat(pid: int) -> list[bytes] | None:
    """Fields of proc_pid_stat(5) from the third one, ``state``; None of one that is gone."""
    # The name, in brackets, may have blanks and brackets in it.
    try:
        return (_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split() or None
    except OSError:
        return None


def threads() -> dict[int, str]:
    """Ids and names of this process's threads, also of those that Python does not know."""
    found = {}
    for task in Path("/proc/self/task").iterdir():
        try:
            found[int(task.name)] = (task / "comm").read_text().strip()
        except OSError:
            continue  # it has ended
    return found


def descriptors(pid: int | None = None) -> dict[int, str]:
    """A process's open descriptors and what they are, such as ``socket:[4711]``.

    Args:
        pid: Its process id; None is this one's. Of one that has ended, or is another user's,
            nothing is known.
    """
    directory = _PROC / ("self" if pid is None else str(pid)) / "fd"
    found = {}
    with suppress(OSError):
        for name in os.listdir(directory):
            with suppress(OSError):  # the one that listdir used
                found[int(name)] = os.readlink(directory / name)
    return found
