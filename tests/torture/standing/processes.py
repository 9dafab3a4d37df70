"""The processes of the machine, as the kernel has them."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

TEMPLATES: Final = ("run-template", "run-spawner")
"""What forks keepers, with and without a warm start."""
KEEPER: Final = "run-keeper"


@dataclass(frozen=True)
class Process:
    """One process (https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html)."""

    pid: int
    name: str
    state: str
    parent: int
    session: int
    began: int
    """In clock ticks; with the pid it names the process for ever."""

    @property
    def alive(self) -> bool:
        """Whether it is no zombie."""
        return self.state not in "ZX"


@dataclass(frozen=True)
class Processes:
    """All at one moment."""

    by_pid: dict[int, Process]

    @cached_property
    def _children(self) -> dict[int, list[Process]]:
        found: defaultdict[int, list[Process]] = defaultdict(list)
        for process in self.by_pid.values():
            found[process.parent].append(process)
        return dict(found)

    def below(self, pid: int) -> Iterator[Process]:
        """All descendants of a process."""
        for child in self._children.get(pid, ()):
            yield child
            yield from self.below(child.pid)

    def called(self, below: int, *names: str) -> list[Process]:
        """Descendants of these names which are alive."""
        return [one for one in self.below(below) if one.name in names and one.alive]


def look() -> Processes:
    """The processes now."""
    found = {}
    for directory in os.listdir("/proc"):
        if directory.isdigit():
            with suppress(OSError):
                process = _read(Path("/proc", directory, "stat").read_text())
                found[process.pid] = process
    return Processes(found)


def _read(stat: str) -> Process:
    before, _, after = stat.rpartition(")")
    pid, _, name = before.partition(" (")
    fields = after.split()
    return Process(int(pid), name, fields[0], int(fields[1]), int(fields[3]), int(fields[19]))
