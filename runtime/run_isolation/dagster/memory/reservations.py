"""The runs of a standing container, with what they take and what they are expected to take."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Final

from run_isolation.dagster.memory.usage import Usage
from run_isolation.dagster.memory.verdict import Verdict
from run_isolation.dagster.processes.linux import let_go_first
from run_isolation.errors import StartRefusedError
from run_isolation.standing.container_memory import MIB, Reading, reserve

UNKNOWN_MIB: Final = 128
"""What a run is taken to need of which nothing is known: a trivial run that is spawned by Dagster
1.13.27 has 109 MiB."""

YOUNG_SECONDS: Final = 30.0
"""So long UNKNOWN_MIB are kept for a run; then it is taken to have what it needs."""


@dataclass
class HostedRun:
    """One run, from the moment that it is about to be started."""

    expected: int | None = None
    """Bytes: the most that the job's recent runs had."""
    since: float = 0.0
    pid: int | None = None
    kills_before: int | None = None
    """How many processes the kernel had killed in this container before it began."""
    usage: Usage = field(default_factory=Usage)
    verdict: Verdict | None = None
    over: bool = False
    """Whether its process has ended."""
    tries: int = 0
    """How often it was tried to be failed with its verdict."""
    told: bool = False
    """Whether the run has its verdict and what it took."""

    def promised(self, now: float) -> int:
        """Bytes that it is expected to take beside those that it has."""
        if self.over or self.verdict is not None:
            return 0
        if self.expected is None and now - self.since > YOUNG_SECONDS:
            return 0
        return max(0, (self.expected or UNKNOWN_MIB * MIB) - self.usage.bytes_now)


class HostedRuns:
    """All runs of a server. Thread-safe, by a lock under which nothing waits.

    Args:
        kills: How many processes the kernel has killed in this container.
        clock: Seconds.
    """

    def __init__(
        self,
        kills: Callable[[], int] = lambda: 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kills = kills
        self._clock = clock
        self._lock = Lock()
        self._runs: dict[str, HostedRun] = {}

    def reserve(self, run_id: str, expected_mib: float | None, reading: Reading) -> HostedRun:
        """Keeps memory for a run that is to be started, until it is withdrawn or over.

        Raises:
            StartRefusedError: Too little is left.
        """
        expected = None if expected_mib is None else int(expected_mib * MIB)
        need = UNKNOWN_MIB * MIB if expected is None else expected
        now = self._clock()
        with self._lock:
            promised = sum(run.promised(now) for run in self._runs.values())
            kept = reserve(reading.limit)
            if need <= reading.free - kept - promised:
                self._runs[run_id] = HostedRun(expected, now)
                return self._runs[run_id]
        known = "unknown as yet, taken for" if expected is None else "by its recent runs"
        raise StartRefusedError(
            f"Too little memory is free: it needs {_mib(need)} MiB ({known}), and of the "
            f"container's {_mib(reading.limit)} MiB {_mib(reading.free)} are free, of which "
            f"{_mib(promised)} are kept for other runs and {_mib(kept)} in reserve."
        )

    def withdraw(self, run_id: str, run: HostedRun) -> None:
        """Keeps no more memory for a run: it has not been started, or its process is over."""
        with self._lock:
            run.over = True
            # What one that has had a process took is still to be written.
            if run.pid is None and self._runs.get(run_id) is run:
                del self._runs[run_id]

    def started(self, run_id: str, pid: int) -> None:
        """The run has a process, which is marked as first to go."""
        kills = self._kills()
        with self._lock:
            run = self._runs.setdefault(run_id, HostedRun(since=self._clock()))
            run.pid, run.kills_before = pid, kills
        let_go_first(pid)

    def look(self) -> dict[str, HostedRun]:
        """The runs that have a process."""
        with self._lock:
            living = {run_id: run for run_id, run in self._runs.items() if not run.over}
            return {run_id: run for run_id, run in living.items() if run.pid is not None}

    def forget(self, run_id: str) -> HostedRun:
        """What was known of a run of which everything is written."""
        with self._lock:
            return self._runs.pop(run_id, HostedRun())

    def get(self, run_id: str) -> HostedRun | None:
        """What is known of a run."""
        with self._lock:
            return self._runs.get(run_id)


def _mib(count: int) -> str:
    return f"{max(0, count) / MIB:.0f}"
