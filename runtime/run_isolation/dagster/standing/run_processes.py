"""The processes of a server's runs, from the call that starts one to all that follows its end.

Dagster's servicer keeps them on record and looks after them in a thread of its own. What has to be
done beside that, and before it, is here, in the order in which it has to be done.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from dagster import DagsterInstance, DagsterRunStatus
from dagster._core.instance.ref import InstanceRef

from run_isolation.dagster.ends.stored_end import is_over
from run_isolation.dagster.memory.run_endings import Ended
from run_isolation.dagster.memory.standing_memory import StandingMemory
from run_isolation.dagster.warm.fork_context import taken
from run_isolation.standing.draining import StandingTask
from run_isolation.standing.hosting import Hosting

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Records:
    """What Dagster's servicer has on record.

    Attributes:
        lock: Guards all of it.
        processes: By run, each with the instance that it reports to.
        cancel_events: By run: what interrupts the process.
        canceled_at: Seconds, by run that was interrupted.
    """

    lock: threading.Lock
    processes: Mapping[str, tuple[Any, InstanceRef]]
    cancel_events: Mapping[str, Any]
    canceled_at: dict[str, float]

    @classmethod
    def of(cls, servicer: Any) -> Records:
        """Those of a ``DagsterApiServer`` (dagster/_grpc/server.py)."""
        return cls(
            servicer._execution_lock,
            servicer._executions,
            servicer._termination_events,
            servicer._termination_times,
        )

    def pids(self) -> dict[str, int]:
        """Process ids by run."""
        with self.lock:
            processes = [(run_id, process) for run_id, (process, _) in self.processes.items()]
        return {run_id: process.pid for run_id, process in processes if process.pid is not None}

    def ended(self) -> list[Ended]:
        """The processes that have ended, with what they took."""
        ended = []
        with self.lock:
            for run_id, (process, instance) in self.processes.items():
                before = os.times()
                if not process.is_alive():
                    after = os.times()
                    user = after.children_user - before.children_user
                    system = after.children_system - before.children_system
                    took = taken(process) or (user + system, 0)
                    ended.append(Ended(run_id, process.exitcode, instance, *took))
        return ended


class RunProcesses(Generic[Answer]):
    """Starts, interrupts and looks after them.

    Args:
        records: Of Dagster's servicer.
        memory: Of the container.
        hosting: Starts each run once, while it holds its slot; None outside of an ECS task.
        logger: For trouble.
        check_template: Says so when the template of warm starts is gone.

    Attributes:
        task: The ECS task, once its public port is open.
    """

    def __init__(
        self,
        records: Records,
        memory: StandingMemory,
        hosting: Hosting[Answer] | None,
        logger: logging.Logger,
        check_template: Callable[[], None] = lambda: None,
    ) -> None:
        self._records = records
        self._memory = memory
        self._hosting = hosting
        self._logger = logger
        self._check_template = check_template
        self.task: StandingTask | None = None

    def start(
        self,
        run_id: str,
        attempt: int,
        start: Callable[[], Answer],
        refuse: Callable[[str], Answer],
        expected_mib: float | None = None,
    ) -> Answer:
        """Starts a run's process once, while the run holds its slot.

        Args:
            run_id: The run.
            attempt: Its attempt, which the caller says holds a slot.
            start: Starts the process.
            refuse: Makes the answer of a run that is not started, from the reason.
            expected_mib: The most that the job's recent runs had, in MiB; None if unknown.

        Raises:
            DrainingError: No more runs are started here.
        """
        begin = partial(self.begin, start)
        if self._hosting is None:
            return begin()
        why_not = partial(self._memory.why_no_room, run_id, expected_mib)
        return self._hosting.start(run_id, attempt, begin, refuse, why_not)

    def begin(self, start: Callable[[], Answer]) -> Answer:
        """Starts a process, of a run that needs no slot, too: first the task is protected."""
        if self.task is not None:
            self.task.protect()
        self._memory.run_starts()
        return start()

    def cancel(self, run_id: str) -> bool:
        """Interrupts a run's process. Returns whether there is one.

        Returns at once. The process notices when it can: never where it is stopped, or was killed
        a moment ago.
        """
        with self._records.lock:
            event = self._records.cancel_events.get(run_id)
            if event is None:
                return False
            self._records.canceled_at[run_id] = time.time()
        threading.Thread(target=event.set, daemon=True).start()
        return True

    def with_starting(self, on_record: Callable[[], Iterable[str]]) -> list[str]:
        """Runs that have a process here, or are about to get one.

        Args:
            on_record: Gives those that have one. Asked last: a run that is being started gets its
                process before it is no longer being started.
        """
        starting = self._hosting.starting() if self._hosting else frozenset()
        return sorted(starting.union(on_record()))

    def any_here(self) -> bool:
        """Whether there are such runs."""
        starting = self._hosting.starting() if self._hosting else frozenset()
        return bool(starting or self._records.processes)

    def look_after(self, forget_ended: Callable[[], None]) -> None:
        """One look at all of them. Trouble is logged: the next look tries again.

        Args:
            forget_ended: Fails runs whose process has ended without a word, and forgets each.
        """
        try:
            # A canceled run and one that was ended for memory would be failed with other words.
            self._end_canceled()
            self._check_template()
            self._memory.before_forgotten(self._records.ended())
            forget_ended()
        except Exception:
            self._logger.exception("Could not look after ended runs; trying again.")

    def forget(self, run_id: str, forget: Callable[[], None]) -> None:
        """A run's process is over, however it ended: gives back what was kept for it.

        With the lock of the records held. Called twice where the process ends as it begins: by
        whoever starts it and by whoever looks after it.

        Args:
            run_id: The run.
            forget: Takes it from the records.
        """
        if run_id not in self._records.processes:
            return
        process, instance = self._records.processes[run_id]
        forget()
        took = taken(process) or ()
        self._memory.ended(Ended(run_id, process.exitcode, instance, *took))
        if self._hosting is not None:
            self._hosting.ended(run_id)
        if self.task is not None:
            self.task.run_ended()

    def close(self) -> None:
        """Waits until all is written, and the slots of ended runs are free."""
        self._memory.close()
        if self._hosting is not None:
            self._hosting.close()
        if self.task is not None:
            self.task.close()

    def _end_canceled(self) -> None:
        """A run is canceled that somebody cancels, also where its process could not say so.

        An interrupt may strike a process before it has begun to watch for one. Dagster's servicer
        would call such a run failed, with no word of the cancel.
        """
        with self._records.lock:
            for run_id in self._records.canceled_at:
                process, instance_ref = self._records.processes[run_id]
                if process.is_alive():
                    continue
                with DagsterInstance.from_ref(instance_ref) as instance:
                    run = instance.get_run_by_id(run_id)
                    if run is None or run.status is not DagsterRunStatus.CANCELING:
                        continue
                    if not is_over(instance, run_id):
                        ended = "Its process ended before it could say so itself."
                        instance.report_run_canceled(run, message=f"Canceled. {ended}")
