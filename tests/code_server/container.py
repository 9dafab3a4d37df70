"""A container for one process tree: limits where the machine lets us, and who is in it.

Its processes are told by a variable in their environment, which every child inherits, also one that
has left its session and lost its parent: so they are found where control groups are off, too.
"""

from __future__ import annotations

import contextlib
import os
import signal
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from localaws.ecs.cgroups import CPU_UNITS, Cgroups, Group, detect
from tests.code_server.memory import memory_mib
from tests.waiting import eventually

MARK: Final = "RUN_ISOLATION_TEST_CONTAINER"


@dataclass(frozen=True)
class Limits:
    """What a task definition allows.

    Attributes:
        cpu: CPU units; 1024 are one vCPU, 0 is no limit.
        memory: MiB; 0 is no limit.
        processes: How many processes and threads there may be; 0 is no limit.
    """

    cpu: int = 0
    memory: int = 0
    processes: int = 0


SMALL: Final = Limits(cpu=CPU_UNITS // 4, memory=1024, processes=200)
"""The standing container that the project's stacks have by default, and a bound for fork bombs."""


@dataclass(frozen=True)
class Container:
    """Where a process tree runs.

    Attributes:
        mark: Value of MARK in its processes' environment.
        limits: What holds. All 0 where this machine allows no limits.
        why_unlimited: Why not; empty where limits hold, and where none were asked for.
        procs: Files that the first process writes its id into.
        group: The control group, None without limits.
    """

    mark: str
    limits: Limits
    why_unlimited: str
    procs: tuple[Path, ...]
    group: Group | None

    @property
    def environment(self) -> Mapping[str, str]:
        """What its first process has in its environment."""
        return {MARK: self.mark}

    def enter(self, command: list[str]) -> list[str]:
        """The command, which joins the control groups before anything else of it runs."""
        if not self.procs:
            return command
        script = 'while [ "$1" != -- ]; do echo $$ > "$1" || exit 1; shift; done; shift; exec "$@"'
        return ["sh", "-c", script, "sh", *map(str, self.procs), "--", *command]

    def processes(self) -> list[psutil.Process]:
        """All that are in it, zombies left out."""
        return [process for process in psutil.process_iter() if self._holds(process)]

    def memory_mib(self) -> float:
        """Memory of all its processes together."""
        return memory_mib(self.processes())

    def kill(self) -> None:
        """Ends all that is left in it."""

        def none_left() -> bool:
            left = self.processes()
            for process in left:
                with contextlib.suppress(psutil.Error):
                    process.send_signal(signal.SIGKILL)
            return not left

        eventually(none_left, "no process is left in the container")

    def _holds(self, process: psutil.Process) -> bool:
        try:
            environment = Path(f"/proc/{process.pid}/environ").read_bytes()
            alive = process.status() != psutil.STATUS_ZOMBIE
        except (OSError, psutil.Error):
            return False
        return alive and f"{MARK}={self.mark}".encode() in environment.split(b"\0")


@contextmanager
def container(limits: Limits | None = None) -> Iterator[Container]:
    """A container; at the end nothing of it is left."""
    mark = uuid.uuid4().hex
    made = Container(mark, Limits(), "", (), None) if limits is None else _limited(mark, limits)
    try:
        yield made
    finally:
        made.kill()
        if made.group is not None:
            made.group.remove()
        for pids in _pids_directories(mark):
            # Killed processes leave their group a moment after they are zombies.
            with contextlib.suppress(OSError):
                pids.rmdir()


def _limited(mark: str, limits: Limits) -> Container:
    try:
        group = Cgroups(detect()).group(mark)
        group.limit(limits.cpu, limits.memory)
    except OSError as error:
        return Container(mark, Limits(), f"limits are off here: {error}", (), None)
    procs = list(group.procs)
    if limits.processes:
        bound = _bound_processes(group, mark, limits.processes)
        procs += [bound] if bound is not None else []
    return Container(mark, limits, "", tuple(procs), group)


def _bound_processes(group: Group, mark: str, count: int) -> Path | None:
    """Limits the number of processes; the file to join by, None where the group's own does."""
    if group.hierarchy.version == 2:
        parent = group.hierarchy.cpu.parent
        (parent / "cgroup.subtree_control").write_text("+pids")
        (group.hierarchy.cpu / "pids.max").write_text(str(count))
        return None
    directory = _pids_root() / f"run-isolation-test-{os.getpid()}-{mark}"
    directory.mkdir()
    (directory / "pids.max").write_text(str(count))
    return directory / "cgroup.procs"


def _pids_root() -> Path:
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, mountpoint, kind, options, *_ = line.split()
        if kind == "cgroup" and "pids" in options.split(","):
            return Path(mountpoint)
    raise OSError("no control group file system of the controller pids is mounted")


def _pids_directories(mark: str) -> list[Path]:
    with contextlib.suppress(OSError):
        return list(_pids_root().glob(f"run-isolation-test-*-{mark}"))
    return []
