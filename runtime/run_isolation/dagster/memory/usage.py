"""What a run takes: the most memory that it had, CPU seconds, how long it took to start."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from dagster import DagsterInstance

from run_isolation import tags
from run_isolation.container_memory import MIB
from run_isolation.dagster.memory.processes import cpu_seconds, processes, resident

MOST_OF_A_CPU: Final = 0.05
"""Of the time, so much may go into measuring: what counts is that runs go on. A process takes about
1 ms, so a run is measured four times a second, and twenty of them every second or so."""


@dataclass
class Usage:
    """Of one run, so far. What nobody has measured is None."""

    bytes_now: int = 0
    peak_bytes: int | None = None
    cpu_seconds: float | None = None

    def saw(self, resident_bytes: int, cpu: float) -> None:
        """Takes a measurement into account."""
        self.bytes_now = resident_bytes
        self.peak_bytes = max(self.peak_bytes or 0, resident_bytes)
        # Descendants that nobody waited for take their seconds with them.
        self.cpu_seconds = max(self.cpu_seconds or 0.0, cpu)

    def waited_for(self, cpu: float) -> None:
        """Takes into account what the kernel says once the run's processes are waited for."""
        if cpu > 0:
            self.cpu_seconds = max(self.cpu_seconds or 0.0, cpu)

    def as_tags(self, start_latency: float | None = None) -> dict[str, str]:
        """The tags that say so.

        Args:
            start_latency: Seconds from the launch to the run's start.
        """
        known: dict[str, str] = {}
        if self.peak_bytes is not None:
            known[tags.PEAK_MIB] = f"{self.peak_bytes / MIB:.0f}"
        if self.cpu_seconds is not None:
            known[tags.CPU_SECONDS] = f"{self.cpu_seconds:.2f}"
        if start_latency is not None:
            known[tags.START_LATENCY_SECONDS] = f"{start_latency:.2f}"
        return known


def measure(pid: int, usage: Usage) -> None:
    """Measures the processes of a run once; nothing where they have ended."""
    them = processes(pid)
    if them:
        usage.saw(resident(them), cpu_seconds(them))


class Meter:
    """Measures runs as often as MOST_OF_A_CPU lets it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next = 0.0

    def measure(self, runs: Mapping[int, Usage], *, now: bool = False) -> None:
        """Measures the runs, by the process on record, if it is time or has to be ``now``."""
        begun = self._clock()
        if begun < self._next and not now:
            return
        for pid, usage in runs.items():
            measure(pid, usage)
        ended = self._clock()
        self._next = ended + (ended - begun) / MOST_OF_A_CPU


def start_latency(instance: DagsterInstance, run_id: str) -> float | None:
    """Seconds from the launch to the run's start; None where it has not started."""
    stats = instance.get_run_stats(run_id)
    launched = getattr(stats, "launch_time", None)
    started = getattr(stats, "start_time", None)
    return started - launched if launched and started else None
