"""The watchdog: ends the run that has most before the kernel ends the container.

The kernel may take the server, and with it every run, sensor and schedule of the code location.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from threading import Event, Thread
from typing import Final

from run_isolation.dagster.memory.reservations import HostedRun, HostedRuns
from run_isolation.dagster.memory.usage import Meter
from run_isolation.dagster.memory.verdict import Verdict
from run_isolation.dagster.processes.of_a_run import kill, processes, wait_until_dead
from run_isolation.standing.container_memory import ContainerMemory, Reading, reserve

LOOK_SECONDS: Final = 0.25
"""Between two looks while there are runs. A look reads two files: 0.1 ms."""

CLOSE_LOOK_SECONDS: Final = 0.05
"""The same where little is left."""

CLOSE: Final = 3
"""Little is less than so many reserves."""

AWAKE_SECONDS: Final = 10.0
"""How long it stays awake for a run that has no process yet."""

_END_SECONDS: Final = 2.0
"""How long it waits for killed processes to give their memory back, before it looks again."""


class Watchdog:
    """Looks at the container's memory in a thread of its own while there are runs.

    Args:
        runs: The runs.
        memory: Finds the container; asked for once, when there is a first run. None where
            nothing limits its memory: then runs are measured only.
        logger: For what it does.
    """

    def __init__(
        self,
        runs: HostedRuns,
        memory: Callable[[], ContainerMemory | None],
        logger: logging.Logger,
    ) -> None:
        self._runs = runs
        self._memory = memory
        self._logger = logger
        self._meter = Meter()
        self._wake = Event()
        self._awake_until = 0.0
        self._closed = False
        self._thread = Thread(target=self._work, name="memory-watchdog", daemon=True)

    def start(self) -> None:
        """Begins to watch. Without runs it does nothing."""
        self._thread.start()

    def run_starts(self) -> None:
        """A run is about to get a process. Returns at once."""
        self._awake_until = time.monotonic() + AWAKE_SECONDS
        self._wake.set()

    def close(self) -> None:
        """Watches no longer."""
        self._closed = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(2 * _END_SECONDS)

    def look(self) -> float | None:
        """Looks once.

        Returns:
            Seconds to the next look; None where there is nothing to look at.
        """
        runs = self._runs.look()
        if not runs:
            return LOOK_SECONDS if time.monotonic() < self._awake_until else None
        memory = self._memory()
        reading = memory.read() if memory else None
        kept = reserve(reading.limit) if reading else 0
        short = reading is not None and reading.free < kept
        measured = {run.pid: run.usage for run in runs.values() if run.pid and not run.verdict}
        self._meter.measure(measured, now=short)
        if reading is not None and short:
            self._end_largest(runs, reading)
        close = reading is not None and reading.free < CLOSE * kept
        return CLOSE_LOOK_SECONDS if close else LOOK_SECONDS

    def _work(self) -> None:
        while not self._closed:
            try:
                pause = self.look()
            except Exception:
                # The thread must live: the next run may be the one that has to go.
                self._logger.exception("Could not look at the container's memory; trying again.")
                pause = LOOK_SECONDS
            self._wake.wait(pause)
            self._wake.clear()

    def _end_largest(self, runs: dict[str, HostedRun], reading: Reading) -> None:
        living = {run_id: run for run_id, run in runs.items() if not run.verdict}
        if not living:
            return
        run_id, run = max(living.items(), key=lambda item: item[1].usage.bytes_now)
        assert run.pid is not None  # noqa: S101  # the runs that have a process
        run.verdict = Verdict(run.usage.bytes_now, reading, by_kernel=False)
        them = processes(run.pid)
        kill(them)
        self._logger.warning("Run %s: %s", run_id, run.verdict)
        wait_until_dead(them, _END_SECONDS)
