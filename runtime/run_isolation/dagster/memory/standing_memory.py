"""The memory of a standing container, as its server looks after it."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Final

from run_isolation import task_metadata
from run_isolation.dagster.memory.reservations import HostedRun, HostedRuns
from run_isolation.dagster.memory.run_endings import Ended, Kills, fail, record
from run_isolation.dagster.memory.verdict import Verdict
from run_isolation.dagster.memory.watchdog import Watchdog
from run_isolation.errors import TaskMetadataError
from run_isolation.standing import container_memory
from run_isolation.standing.container_memory import MIB, ContainerMemory

MOST_TRIES: Final = 20
"""How often a run is tried to be failed with our words: Dagster's server looks twice a second. Then
Dagster fails it with its own."""


def find_container() -> ContainerMemory | None:
    """The container of this process, by control groups or what ECS says of its task."""
    return container_memory.find(_task_limit)


class StandingMemory:
    """Measures runs, ends one where memory runs out, and says so on it.

    Args:
        pids: Tells the processes on record by run.
        logger: For what it does.
        find: Finds the container.
    """

    def __init__(
        self,
        pids: Callable[[], Mapping[str, int]],
        logger: logging.Logger,
        find: Callable[[], ContainerMemory | None] = find_container,
    ) -> None:
        self._find = find
        self._logger = logger
        self._kills = Kills(lambda: self._container)
        self._runs = HostedRuns(pids, self._kills.count)
        self._watchdog = Watchdog(self._runs, lambda: self._container, logger)
        self._records = ThreadPoolExecutor(max_workers=1, thread_name_prefix="memory-records")
        self._watchdog.start()

    @cached_property
    def _container(self) -> ContainerMemory | None:
        found = self._find()
        if found is None:
            self._logger.info("Nothing limits this container's memory, so no run is ended for it.")
        return found

    def why_no_room(self, run_id: str, expected_mib: float | None) -> str | None:
        """Why a run can't be started now; None keeps memory for it.

        Args:
            run_id: The run.
            expected_mib: The most that its job's recent runs had, in MiB; None if unknown.
        """
        if self._container is None:
            return None
        return self._runs.expect(run_id, expected_mib, self._container.read())

    def run_starts(self) -> None:
        """A run is about to get a process."""
        self._watchdog.run_starts()

    def before_forgotten(self, ended: Iterable[Ended]) -> None:
        """Fails those runs that were ended for memory, before Dagster fails them without a reason.

        Raises:
            Exception: The storage does not answer; to be tried again.
        """
        kills, by_kernel = self._kills.count(), False
        for one in ended:
            run = self._runs.get(one.run_id)
            if run is None or run.told:
                continue
            run.usage.ended(one.cpu_seconds, one.memory_bytes)
            if run.verdict is None and one.exit_code == -signal.SIGKILL:
                run.verdict = self._by_kernel(run, kills)
            if run.verdict is None or run.tries >= MOST_TRIES:
                continue
            run.tries += 1
            run.told = fail(one, run)
            by_kernel = by_kernel or run.verdict.by_kernel
        if by_kernel:
            self._kills.told(kills)

    def ended(self, one: Ended) -> None:
        """Writes what the run took, in the background: Dagster is done with it."""
        run = self._runs.forget(one.run_id)
        run.usage.ended(one.cpu_seconds, one.memory_bytes)
        if not run.told:
            self._records.submit(self._record, one, run)

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
