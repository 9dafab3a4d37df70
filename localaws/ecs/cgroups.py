"""CPU and memory limits by control groups, version 1 or 2, where this process may set them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

#: CPU units of one vCPU, in ECS.
CPU_UNITS = 1024
#: The period of the CPU quota, in microseconds: the kernel's default.
PERIOD = 100_000
MIB = 1024 * 1024


@dataclass(frozen=True)
class Hierarchy:
    """Where control groups are made.

    Attributes:
        version: 1 or 2.
        cpu: The directory under which CPU groups are made.
        memory: The same for memory; equal to `cpu` in version 2.
    """

    version: int
    cpu: Path
    memory: Path

    @property
    def roots(self) -> list[Path]:
        """The distinct directories, CPU first."""
        return list(dict.fromkeys([self.cpu, self.memory]))


class Group:
    """One control group: in version 1, one directory in each hierarchy."""

    def __init__(self, hierarchy: Hierarchy, name: str) -> None:
        self._version = hierarchy.version
        self._cpu = hierarchy.cpu / name
        self._memory = hierarchy.memory / name
        self.hierarchy = Hierarchy(hierarchy.version, self._cpu, self._memory)
        for directory in self.hierarchy.roots:
            directory.mkdir()

    def allow_children(self) -> None:
        """Let groups be made below this one."""
        if self._version == 2:
            (self._cpu / "cgroup.subtree_control").write_text("+cpu +memory")

    def limit(self, cpu: int, memory: int) -> None:
        """Limit to `cpu` CPU units and `memory` MiB; 0 leaves either unlimited."""
        if cpu:
            quota = cpu * PERIOD // CPU_UNITS
            if self._version == 2:
                (self._cpu / "cpu.max").write_text(f"{quota} {PERIOD}")
            else:
                (self._cpu / "cpu.cfs_period_us").write_text(str(PERIOD))
                (self._cpu / "cpu.cfs_quota_us").write_text(str(quota))
        if memory:
            name = "memory.max" if self._version == 2 else "memory.limit_in_bytes"
            (self._memory / name).write_text(str(memory * MIB))

    @property
    def procs(self) -> list[Path]:
        """The files that a process writes its id into to join."""
        return [directory / "cgroup.procs" for directory in self.hierarchy.roots]

    @property
    def places(self) -> dict[str, Path]:
        """Where a container finds its own groups: on the mount points that this machine has."""
        return {
            str(next(parent for parent in directory.parents if parent.is_mount())): directory
            for directory in self.hierarchy.roots
        }

    def out_of_memory(self) -> bool:
        """Whether the kernel has killed a process of this group for want of memory."""
        name = "memory.events" if self._version == 2 else "memory.oom_control"
        try:
            lines = (self._memory / name).read_text().splitlines()
        except OSError:
            return False
        return any(line.split()[0] == "oom_kill" and line.split()[1] != "0" for line in lines)

    def remove(self) -> None:
        """Remove the group; its processes must have ended."""
        for directory in self.hierarchy.roots:
            with contextlib.suppress(OSError):
                directory.rmdir()


class Cgroups:
    """Makes control groups for one account's tasks.

    Args:
        hierarchy: Where; see `detect`.
    """

    def __init__(self, hierarchy: Hierarchy) -> None:
        self._hierarchy = hierarchy
        self._prefix = f"localaws-{os.getpid()}"
        self._sweep()

    def group(self, name: str) -> Group:
        """Make the group of a task."""
        return Group(self._hierarchy, f"{self._prefix}-{name}")

    def _sweep(self) -> None:
        """Remove what an account left behind that was killed."""
        for root in self._hierarchy.roots:
            for directory in root.glob("localaws-*"):
                pid = directory.name.split("-")[1]
                if not (pid.isdigit() and psutil.pid_exists(int(pid))):
                    for inner in [*directory.glob("*/"), directory]:
                        with contextlib.suppress(OSError):
                            inner.rmdir()


def detect(proc: Path = Path("/proc")) -> Hierarchy:
    """Find where this process may make control groups with CPU and memory limits.

    Raises:
        OSError: Nowhere; the message says why.
    """
    mounts: dict[str, Path] = {}
    for line in (proc / "self/mounts").read_text().splitlines():
        _, mountpoint, kind, options, *_ = line.split()
        if kind == "cgroup2":
            mounts[""] = Path(mountpoint)
        elif kind == "cgroup":
            mounts |= dict.fromkeys(options.split(","), Path(mountpoint))
    own = dict[str, str]()
    for line in (proc / "self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        own |= dict.fromkeys(controllers.split(","), path)
    if "cpu" in mounts and "memory" in mounts:
        found = Hierarchy(1, _own(mounts["cpu"], own["cpu"]), _own(mounts["memory"], own["memory"]))
    elif "" in mounts:
        root = _own(mounts[""], own.get("", "/"))
        found = Hierarchy(2, root, root)
    else:
        raise OSError("no control group file system is mounted")
    _try_out(found)
    return found


def _own(mountpoint: Path, path: str) -> Path:
    """This process's own group, or the root where a container hides it."""
    directory = mountpoint / path.lstrip("/")
    return directory if directory.is_dir() else mountpoint


def _try_out(hierarchy: Hierarchy) -> None:
    if hierarchy.version == 2:
        # Needed once; refused ("Device or resource busy") where this very group holds processes.
        (hierarchy.cpu / "cgroup.subtree_control").write_text("+cpu +memory")
    probe = Group(hierarchy, f"localaws-{os.getpid()}-probe")
    try:
        probe.limit(CPU_UNITS, 64)
    finally:
        probe.remove()


def limits_or_none(report: Callable[[str], None]) -> Cgroups | None:
    """Return control groups, or None after one plain line that says why limits are off."""
    try:
        return Cgroups(detect())
    except OSError as error:
        report(f"CPU and memory limits of tasks are off on this machine: {error}")
        return None
