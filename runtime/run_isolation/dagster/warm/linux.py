"""Calls of Linux that Python has no names for, and what /proc says of processes."""

from __future__ import annotations

import ctypes
import os
import signal
from collections import defaultdict
from pathlib import Path
from typing import Final

# https://man7.org/linux/man-pages/man2/prctl.2.html
_SET_PDEATHSIG: Final = 1
_SET_NAME: Final = 15
_SET_CHILD_SUBREAPER: Final = 36

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


def _families() -> defaultdict[int, list[int]]:
    families: defaultdict[int, list[int]] = defaultdict(list)
    for entry in os.scandir(_PROC):
        if entry.name.isdigit():
            parent = _parent(Path(entry.path, "stat"))
            if parent is not None:
                families[parent].append(int(entry.name))
    return families


def _parent(stat: Path) -> int | None:
    # The name, in brackets, may have blanks and brackets in it: proc_pid_stat(5).
    try:
        return int(stat.read_bytes().rpartition(b")")[2].split()[1])
    except (OSError, IndexError):
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


def descriptors() -> dict[int, str]:
    """This process's open descriptors and what they are, such as ``socket:[4711]``."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue  # the one that listdir used
    return found
