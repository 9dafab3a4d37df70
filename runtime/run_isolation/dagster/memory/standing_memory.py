"""The memory of a standing container, as its server looks after it."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Final

from run_isolation import task_metadata
from run_isolation.dagster.memory.reservations import HostedRun, HostedRuns
from run_isolation.dagster.memory.run_endings import Ended, Kills, fail, record
from run_isolation.dagster.memory.verdict import Verdict
from run_isolation.dagster.memory.watchdog import Watchdog
from run_isolation.errors import TaskMetadataError
from run_isolation.passing_trouble import may_pass
from run_isolation.standing import container_memory
from run_isolation.standing.container_memory import MIB, ContainerMemory
from run_isolation.thread_pools import steady_pool

MOST_TRIES: Final = 20
"""How often a run is tried to be failed with these words, beside trouble that passes. Then it fails
as any run whose process was killed."""


def find_container() -> ContainerMemory | None:
    """The container of this process, by control groups or what ECS says of its task."""
    return container_memory.find(_task_limit)


class StandingMemory:
    """Measures runs, ends one where memory runs out, and says so on it.

    Args:
        logger: For what it does.
        find: Finds the container.
    """

    def __init__(
        self,
        logger: logging.Logger,
        find: Callable[[], ContainerMemory | None] = find_container,
    ) -> None:
        self._find = find
        self._logger = logger
        self._kills = Kills(lambda: self._container)
        self._runs = HostedRuns(self._kills.count)
        self._watchdog = Watchdog(self._runs, lambda: self._container, logger)
        self._records = steady_pool(1, "memory-records")
        self._watchdog.start()

    @cached_property
    def _container(self) -> ContainerMemory | None:
        found = self._find()
        if found is None:
            self._logger.info("Nothing limits this container's memory, so no run is ended for it.")
        return found

    def reserve(self, run_id: str, expected_mib: float | None) -> Callable[[], None]:
        """Keeps memory for a run that is to be started, and returns what gives it back.

        Args:
            run_id: The run.
            expected_mib: The most that its job's recent runs had, in MiB; None if unknown.

        Raises:
            StartRefusedError: Too little is left.
        """
        if self._container is None:
            return lambda: None
        run = self._runs.reserve(run_id, expected_mib, self._container.read())
        return partial(self._runs.withdraw, run_id, run)

    def run_starts(self) -> None:
        """A run is about to get a process."""
        self._watchdog.run_starts()

    def started(self, run_id: str, pid: int) -> None:
        """The run has this process."""
        self._runs.started(run_id, pid)

    def over(self, ended: Sequence[Ended]) -> None:
        """Takes note of processes that have ended, all that have since the last look.

        Nothing is written: the storage may not answer.
        """
        kills, by_kernel = self._kills.count(), False
        for one in ended:
            run = self._runs.get(one.run_id)
            if run is None:
                continue
            run.over = True
            run.usage.ended(one.cpu_seconds, one.memory_bytes)
            if run.verdict is None and one.exit_code == -signal.SIGKILL:
                run.verdict = self._by_kernel(run, kills)
            by_kernel = by_kernel or (run.verdict is not None and run.verdict.by_kernel)
        if by_kernel:
            self._kills.told(kills)

    def tell(self, one: Ended) -> None:
        """Fails a run that was ended for memory, before it is failed without a reason.

        Raises:
            Exception: The storage does not answer; to be tried again.
        """
        run = self._runs.get(one.run_id)
        if run is None or run.told or run.verdict is None or run.tries >= MOST_TRIES:
            return
        try:
            run.told = fail(one, run)
        except Exception as error:
            # Storage may be gone for minutes, and a failure is to say why from the beginning.
            run.tries += not may_pass(error)
            raise

    def ended(self, one: Ended) -> None:
        """Writes what the run took, in the background: its end is told."""
        run = self._runs.forget(one.run_id)
        run.usage.ended(one.cpu_seconds, one.memory_bytes)
        if not run.told:
            self._records.submit(self._record, one, run)

    def forget(self, run_id: str) -> None:
        """The run's process ended before it had touched the run."""
        self._runs.forget(run_id)

    def close(self) -> None:
        """Waits until everything is written."""
        self._watchdog.close()
        self._records.shutdown(wait=True)

    def _by_kernel(self, run: HostedRun, kills: int) -> Verdict | None:
        if self._container is None or not self._kills.any_untold(run, kills):
            return None
        return Verdict(run.usage.peak_bytes, self._container.read(), by_kernel=True)

    def _record(self, one: Ended, run: HostedRun) -> None:
        try:
            kills = self._kills.count()
            if record(one, run, self._by_kernel(run, kills)):
                self._kills.told(kills)
        except Exception:
            self._logger.exception("What run %s took is not recorded.", one.run_id)


def _task_limit() -> int | None:
    try:
        task = task_metadata.read()
    except TaskMetadataError:
        return None
    return task.memory_mib * MIB if task and task.memory_mib else None
