"""The processes of a server's runs, from the call that starts one to all that follows its end.

Runs in: server.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing.context import BaseContext

from dagster._grpc.types import StartRunResult

from run_isolation.dagster.memory.standing_memory import StandingMemory
from run_isolation.dagster.processes import of_a_run
from run_isolation.dagster.standing.records import Records
from run_isolation.dagster.standing.run_ends import RunEnds
from run_isolation.dagster.standing.run_start import RunAsked, RunProcess, refusal
from run_isolation.errors import StartUnfinishedError
from run_isolation.standing.draining import StandingTask
from run_isolation.standing.hosting import Hosting


class RunProcesses:
    """Starts, interrupts and looks after them.

    Args:
        records: Of Dagster's servicer.
        memory: Of the container.
        hosting: Starts each run once, while it holds its slot; None outside of an ECS task.
        logger: For trouble.
        context: Makes processes.
        check_template: Says so when the template of warm starts is gone.

    Attributes:
        task: The ECS task, once its public port is open.
    """

    def __init__(
        self,
        records: Records,
        memory: StandingMemory,
        hosting: Hosting[StartRunResult] | None,
        logger: logging.Logger,
        context: BaseContext,
        check_template: Callable[[], None] = lambda: None,
    ) -> None:
        self._records = records
        self._memory = memory
        self._hosting = hosting
        self._logger = logger
        self._context = context
        self._check_template = check_template
        self._ends = RunEnds(records, memory, self._give_back, self._told, logger)
        self.task: StandingTask | None = None

    def start(
        self,
        run: RunAsked,
        attempt: int | None,
        expected_mib: float | None = None,
        seconds: float | None = None,
    ) -> StartRunResult:
        """Starts a run's process; where an attempt is told once, while it holds its slot.

        Args:
            run: The run.
            attempt: Its attempt, which the caller says holds a slot; None: it needs none.
            expected_mib: The most that the job's recent runs had, in MiB; None if unknown.
            seconds: How long to wait for the process's first word; None: until there is one.

        Raises:
            DrainingError: No more runs are started here.
            StartUnfinishedError: There is no first word yet.
        """
        launch = _Launch(run, self, self._memory, expected_mib)
        if self._hosting is not None and attempt is not None:
            return self._hosting.start(run.run_id, attempt, launch, seconds)
        first_word, said = self.begin(run), list[StartRunResult]()
        waiting = threading.Thread(target=lambda: said.append(first_word()), daemon=True)
        try:
            waiting.start()
        except RuntimeError:  # no thread is to be had, and there is a process
            return first_word()
        waiting.join(seconds)
        if not said:
            raise StartUnfinishedError(f"The process of run {run.run_id} has not said a word yet.")
        return said[0]

    def begin(self, run: RunAsked) -> Callable[[], StartRunResult]:
        """Starts a process, and returns what waits for its first word.

        Raises:
            Exception: There is no process.
        """
        self._protect()
        self._memory.run_starts()
        made = RunProcess.made(run, self._context)
        self._records.add(run.run_id, made.process, run.instance, made.cancel)
        try:
            made.process.start()
        except BaseException:
            self._ends.forget_start(run.run_id)
            raise
        try:
            self._memory.started(run.run_id, made.process.pid)
        except Exception:
            self._logger.exception("The memory of run %s is not watched.", run.run_id)
        return partial(self._first_word, made)

    def cancel(self, run_id: str) -> bool:
        """Interrupts a run's process. Returns whether there is one.

        Returns at once. The process notices when it can: never where it is stopped, or was killed
        a moment ago.
        """
        event = self._records.cancel_event(run_id)
        if event is None:
            return False
        self._ends.canceled(run_id)
        event.set()  # one of ``warm.primitives``, which waits for nobody
        return True

    def can_cancel(self, run_id: str) -> bool:
        """Whether there is a process that nobody has interrupted yet."""
        event = self._records.cancel_event(run_id)
        return event is not None and not event.is_set()

    def current(self) -> list[str]:
        """Runs that have a process here, or are about to get one.

        Those that have one are asked for last: a run that is being started gets its process before
        it is no longer being started.
        """
        starting = self._hosting.starting() if self._hosting else frozenset()
        return sorted(starting.union(self._records.run_ids()))

    def any_here(self) -> bool:
        """Whether there are such runs."""
        return bool(self.current())

    def look_after(self) -> None:
        """One look at all of them. Trouble is logged: the next look tries again."""
        try:
            self._check_template()
            self._ends.look()
        except Exception:
            self._logger.exception("Could not look after runs; trying again.")

    def close(self) -> None:
        """Waits until all is written, and the slots of ended runs are free."""
        if self._hosting is not None:
            self._hosting.close()
        self._ends.close()
        self._memory.close()
        if self.task is not None:
            self.task.close()

    def _first_word(self, made: RunProcess) -> StartRunResult:
        """Waits for it. A process that does not begin with its run is forgotten at once."""
        try:
            result = made.first_word()
        except Exception as error:
            # Its keeper ends the rest; to look for that may take a descriptor too many.
            of_a_run.kill([made.process.pid])
            result = refusal(f"What its process said is not known: {error!r}. It was ended.")
        if result.success:
            self._records.has_begun(made.run_id)
        else:
            self._ends.forget_start(made.run_id)
        return result

    def _protect(self) -> None:
        """Protects the task before a process begins. Trouble with it is no reason to start none."""
        if self.task is None:
            return
        try:
            self.task.protect()
        except Exception:
            self._logger.exception("The task is not protected; the run is started all the same.")

    def _give_back(self, run_id: str) -> None:
        if self._hosting is not None:
            self._hosting.ended(run_id)

    def _told(self) -> None:
        if self.task is not None:
            self.task.run_ended()


@dataclass(frozen=True)
class _Launch:
    """How a run is started that holds a slot."""

    run: RunAsked
    processes: RunProcesses
    memory: StandingMemory
    expected_mib: float | None

    def reserve(self) -> Callable[[], None]:
        return self.memory.reserve(self.run.run_id, self.expected_mib)

    def begin(self) -> Callable[[], StartRunResult]:
        return self.processes.begin(self.run)

    def refuse(self, why: str) -> StartRunResult:
        return refusal(why)
