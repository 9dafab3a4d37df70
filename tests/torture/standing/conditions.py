"""What is wrong at which time: told by whoever makes it so, read by who judges."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Final

TABLE: Final = "table"
"""Cut off, for all but the observer."""
STORAGE: Final = "storage"
SERVER: Final = "server"
"""There is none: it is being replaced."""
TEMPLATE: Final = "template"
"""Stands still."""
BOMB: Final = "bomb"
"""A run fills the container's process table, or there may be no more processes in it."""

Interval = tuple[float, float]
Intervals = Mapping[str, Sequence[Interval]]
"""By condition, in seconds since 1970."""


def of_run(run_id: str) -> str:
    """A process of the run stands still."""
    return f"run {run_id}"


@dataclass
class Conditions:
    """Those of one torture, now and before."""

    path: Path
    on: dict[str, int] = field(default_factory=dict)
    """How often each holds now."""
    _lock: Lock = field(default_factory=Lock)

    def begin(self, name: str) -> None:
        """From now on it holds, once more."""
        self._change(name, 1)

    def end(self, name: str) -> None:
        """It holds once less."""
        self._change(name, -1)

    def holds(self, *names: str) -> bool:
        """Whether one of them does."""
        return any(self.on.get(name, 0) for name in names)

    def _change(self, name: str, by: int) -> None:
        with self._lock:
            self.on[name] = self.on.get(name, 0) + by
            with self.path.open("a") as file:
                file.write(f"{time.time()} {by} {name}\n")


def read(path: Path, end: float) -> dict[str, list[Interval]]:
    """When each condition held; those that still hold do so until the end."""
    counts: defaultdict[str, int] = defaultdict(int)
    since: dict[str, float] = {}
    found: defaultdict[str, list[Interval]] = defaultdict(list)
    for line in path.read_text().splitlines() if path.exists() else []:
        at, by, name = line.split(maxsplit=2)
        before = counts[name]
        counts[name] += int(by)
        if not before:
            since[name] = float(at)
        elif not counts[name]:
            found[name].append((since[name], float(at)))
    for name, count in counts.items():
        if count:
            found[name].append((since[name], end))
    return dict(found)


def overlap(begin: float, end: float, among: Iterable[Interval]) -> float:
    """Seconds between two times that are in any of the intervals."""
    seconds, until = 0.0, begin
    for first, last in sorted(among):
        first, last = max(first, until), min(last, end)
        if last > first:
            seconds += last - first
            until = last
    return seconds
