"""How much memory this container has, and how much of it is in use, as the kernel counts it.

Control groups of either version
(https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files,
https://docs.kernel.org/admin-guide/cgroup-v1/memory.html). In use is the working set: what is
charged to the group without the file pages that the kernel gives up first (``inactive_file``). It
is what has to be kept, as the kubelet counts it, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from run_isolation.control_groups import PROC, own_groups, values

MIB: Final = 1024 * 1024

_NO_LIMIT: Final = 2**60
"""Bytes. Version 1 says "no limit" by the largest multiple of a page below 2**63."""


@dataclass(frozen=True)
class Reading:
    """The container's memory at one moment, in bytes."""

    limit: int
    used: int
    """The working set."""

    @property
    def free(self) -> int:
        """What is left, negative where inactive pages are not counted by both sides alike."""
        return self.limit - self.used


@dataclass(frozen=True)
class _Files:
    """Names in one version of control groups."""

    limit: str
    usage: str
    inactive: str
    oom: str


_FILES: Final[Mapping[int, _Files]] = {
    1: _Files(
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        "total_inactive_file",
        "memory.oom_control",
    ),
    2: _Files("memory.max", "memory.current", "inactive_file", "memory.events"),
}


@dataclass(frozen=True)
class ContainerMemory:
    """The control group that limits this container.

    Args:
        directory: Of the group.
        version: 1 or 2.
        limit: Bytes.
    """

    directory: Path
    version: int
    limit: int

    def read(self) -> Reading:
        """Reads it: two small files, about 0.1 ms.

        Raises:
            OSError: They are gone.
        """
        files = _FILES[self.version]
        used = int((self.directory / files.usage).read_text())
        inactive = values(self.directory / "memory.stat").get(files.inactive, 0)
        return Reading(self.limit, max(0, used - inactive))

    def oom_kills(self) -> int:
        """How many processes of the group the kernel has killed for want of memory."""
        try:
            return values(self.directory / _FILES[self.version].oom).get("oom_kill", 0)
        except OSError:
            return 0


def reserve(limit: int) -> int:
    """Bytes that stay free; a run is ended where less is.

    At a quarter of a vCPU a process writes about 60 MiB of new memory between two looks, and a look
    takes a twentieth of a second where little is left. On 1 GiB the reserve is 82 MiB, which is
    less than the smallest spawned run has.

    Args:
        limit: Of the container, in bytes.
    """
    return max(64 * MIB, limit * 8 // 100)


def find(
    task_limit: Callable[[], int | None] = lambda: None, proc: Path = PROC
) -> ContainerMemory | None:
    """The container of this process; None where nothing limits its memory.

    Of this process's group and those above it that can be seen, the one with the smallest limit.
    ECS may set the limit on a group of the task, which the container does not see. Then the
    task's own word counts, as long as this group is the container: the container's first process
    is in it, and what is in use is less than the limit.

    Args:
        task_limit: Gives the limit of the ECS task in bytes; asked only where no group has one.
        proc: Where the ``proc`` file system is.
    """
    own = own_groups("memory", proc)
    if own is None:
        return None
    limited = [
        ContainerMemory(directory, own.version, limit)
        for directory in own.directories
        if (limit := _limit(directory, own.version)) is not None
    ]
    if limited:
        # Of equal ones the uppermost: what is in use below it counts.
        return min(reversed(limited), key=lambda memory: memory.limit)
    limit = task_limit()
    if limit is None:
        return None
    try:
        whole = ContainerMemory(own.directories[0], own.version, limit)
        first_is_here = "1" in (whole.directory / "cgroup.procs").read_text().split()
        return whole if first_is_here and whole.read().used < limit else None
    except (OSError, ValueError):
        return None


def _limit(directory: Path, version: int) -> int | None:
    """The group's limit; in version 1 also that of groups above it which can't be seen."""
    try:
        text = (directory / _FILES[version].limit).read_text().strip()
        limits = [_NO_LIMIT if text == "max" else int(text)]
        if version == 1:
            stat = values(directory / "memory.stat")
            limits.append(stat.get("hierarchical_memory_limit", _NO_LIMIT))
    except OSError:
        return None
    limit = min(limits)
    return limit if limit < _NO_LIMIT else None
