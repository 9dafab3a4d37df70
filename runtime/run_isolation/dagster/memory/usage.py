"""What a run takes: the most memory that it had, CPU seconds, how long it took to start."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from dagster import DagsterInstance

from run_isolation import tag_names
from run_isolation.dagster.processes.linux import cpu_seconds, proportional
from run_isolation.dagster.processes.of_a_run import processes
from run_isolation.standing.container_memory import MIB

MOST_OF_A_CPU: Final = 0.05
"""Of the time, so much may go into measuring: what counts is that runs go on. A process takes about
1 ms, so a run is measured four times a second, and twenty of them every second or so."""

TURN_SECONDS: Final = 0.01
"""After so long the rest is left to the next turn. A run with 180 processes, measured at once, made
the server of a quarter of a vCPU deaf for seconds: the kernel goes through their pages whatever
quota of CPU the container has, and keeps the container waiting afterwards (Linux 6.18)."""


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

    def ended(self, cpu: float, memory_bytes: int) -> None:
        """Takes into account what is known at the run's end; 0 is nothing."""
        if cpu > 0:
            self.cpu_seconds = max(self.cpu_seconds or 0.0, cpu)
        if memory_bytes > 0:
            self.peak_bytes = max(self.peak_bytes or 0, memory_bytes)

    def as_tags(self, start_latency: float | None = None) -> dict[str, str]:
        """The tags that say so.

        Args:
            start_latency: Seconds from the launch to the run's start.
        """
        known: dict[str, str] = {}
        if self.peak_bytes is not None:
            known[tag_names.PEAK_MIB] = f"{self.peak_bytes / MIB:.0f}"
        if self.cpu_seconds is not None:
            known[tag_names.CPU_SECONDS] = f"{self.cpu_seconds:.2f}"
        if start_latency is not None:
            known[tag_names.START_LATENCY_SECONDS] = f"{start_latency:.2f}"
        return known


class Meter:
    """Measures runs as often as MOST_OF_A_CPU lets it, a turn at a time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next = 0.0
        self._rest: Iterator[None] | None = None

    def measure(self, runs: Mapping[int, Usage], *, now: bool = False) -> None:
        """Measures the runs, by the process on record, if it is time or has to be ``now``."""
        if now:
            for _ in _measure(runs):
                pass
            return
        begun = self._clock()
        if begun < self._next:
            return
        self._rest = self._rest or _measure(runs)
        for _ in self._rest:
            if self._clock() - begun > TURN_SECONDS:
                break
        else:
            self._rest = None
        ended = self._clock()
        self._next = ended + (ended - begun) / MOST_OF_A_CPU


def _measure(runs: Mapping[int, Usage]) -> Iterator[None]:
    """Measures each run once, by its processes that have not ended, and pauses between two."""
    begun = False
    for pid, usage in runs.items():
        them, taken, cpu = processes(pid), 0, 0.0
        for process in them:
            if begun:
                yield
            begun = True
            taken += proportional(process)
            cpu += cpu_seconds(process)
        if them:
            usage.saw(taken, cpu)


def start_latency(instance: DagsterInstance, run_id: str) -> float | None:
    """Seconds from the launch to the run's start; None where it has not started."""
    stats = instance.get_run_stats(run_id)
    launched = getattr(stats, "launch_time", None)
    started = getattr(stats, "start_time", None)
    return started - launched if launched and started else None
