"""The ends of a server's runs: what follows at once, and what waits for the storage.

Dagster's servicer looks for them twice a second, in a thread of its own, with the lock of its
records held while it asks the storage. Here the look waits for nothing, and other threads tell.

Runs in: server.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from typing import Any, Final

from dagster._core.instance.ref import InstanceRef

from run_isolation import start_run_timers
from run_isolation.dagster.memory.run_endings import Ended
from run_isolation.dagster.memory.standing_memory import StandingMemory
from run_isolation.dagster.processes import of_a_run
from run_isolation.dagster.standing import last_words
from run_isolation.dagster.standing.records import Records
from run_isolation.dagster.warm.kept_popen import taken
from run_isolation.thread_pools import steady_pool

_TELLERS: Final = 4
"""Ends of runs that are told at once. Where the storage does not answer the others wait, and hold
up nothing but what is said of them."""

_ASK_AGAIN_SECONDS: Final = 3.0
"""Between two questions whether the run of a canceled process is over, and after an end that could
not be told."""


class RunEnds:
    """Notices ends, tells of them, and sees to the end of canceled processes.

    Args:
        records: Of Dagster's servicer.
        memory: Of the container.
        give_back: Gives back what is kept for a run; called when its process is over.
        told: Called when nothing more is to be said of a run.
        logger: For trouble.
    """

    def __init__(
        self,
        records: Records,
        memory: StandingMemory,
        give_back: Callable[[str], None],
        told: Callable[[], None],
        logger: logging.Logger,
    ) -> None:
        self._records = records
        self._memory = memory
        self._give_back = give_back
        self._told = told
        self._logger = logger
        self._ended: dict[str, Ended] = {}
        self._tell_at: dict[str, float] = {}
        self._canceled: dict[str, float] = {}
        # Runs that a teller is at: one each, as one whose storage hangs would take all of them.
        self._in_hand: set[str] = set()
        self._tellers = steady_pool(_TELLERS, "run-ends")

    def look(self) -> None:
        """Looks at all of them, and waits for nothing."""
        for ended in self._new():
            self._give_back(ended.run_id)
        now = time.monotonic()
        for run_id, ended in list(self._ended.items()):
            if now >= self._tell_at.get(run_id, now):
                self._hand(run_id, self._tell, ended)
        self._end_what_is_over()

    def canceled(self, run_id: str) -> None:
        """The run's process was interrupted. It has its time, but not when the run is over."""
        ask_at = time.monotonic() + start_run_timers.OVER_SECONDS
        self._canceled.setdefault(run_id, ask_at)

    def forget_start(self, run_id: str) -> None:
        """The run has no process, and its launcher is told so: there is nothing to tell here."""
        self._give_back(run_id)
        self._records.drop(run_id)
        self._canceled.pop(run_id, None)
        self._memory.forget(run_id)
        self._told()

    def close(self) -> None:
        """Waits until all is told."""
        self._tellers.shutdown(wait=True)

    def _new(self) -> list[Ended]:
        """The processes that have ended since the last look, with what they took."""
        found = []
        # Before it is asked what is on record: one that is told meanwhile is on neither list.
        known = set(self._ended)
        for run_id, (process, instance) in self._records.begun().items():
            if run_id in known:
                continue
            before = os.times()
            if process.is_alive():
                continue
            after = os.times()
            user = after.children_user - before.children_user
            system = after.children_system - before.children_system
            took = taken(process) or (user + system, 0)
            found.append(Ended(run_id, process.exitcode, instance, *took))
        # All at once: one kill by the kernel may be any of them.
        self._memory.over(found)
        self._ended.update({ended.run_id: ended for ended in found})
        return found

    def _hand(self, run_id: str, work: Callable[..., None], *args: Any) -> None:
        """Hands it to a teller, unless one is at the run."""
        if run_id in self._in_hand:
            return
        self._in_hand.add(run_id)

        def carry_out() -> None:
            try:
                work(*args)
            finally:
                self._in_hand.discard(run_id)

        self._tellers.submit(carry_out)

    def _tell(self, ended: Ended) -> None:
        """Says on the run how it ended, where it has not done so itself, and forgets it."""
        run_id = ended.run_id
        try:
            # A run that was canceled, or ended for memory, would be failed with other words.
            if run_id in self._canceled:
                last_words.say_canceled(ended)
            self._memory.tell(ended)
            last_words.say_crashed(ended)
        except Exception:
            self._logger.exception("How run %s ended could not be told; trying again.", run_id)
            self._tell_at[run_id] = time.monotonic() + _ASK_AGAIN_SECONDS
        else:
            self._records.drop(run_id)
            self._canceled.pop(run_id, None)
            self._memory.ended(ended)
            self._ended.pop(run_id)
            self._tell_at.pop(run_id, None)
            self._told()

    def _end_what_is_over(self) -> None:
        """Kills canceled processes that are still there though their runs are over."""
        now = time.monotonic()
        for run_id, ask_at in list(self._canceled.items()):
            known = self._records.process(run_id)
            if known is None:
                self._canceled.pop(run_id, None)
            elif now >= ask_at and run_id not in self._ended:
                self._canceled[run_id] = now + _ASK_AGAIN_SECONDS
                self._hand(run_id, self._end_if_over, run_id, *known)

    def _end_if_over(self, run_id: str, process: Any, instance: InstanceRef) -> None:
        try:
            if last_words.needs_no_process(run_id, instance) and process.is_alive():
                self._logger.warning("Run %s is over and its process is not: it is killed.", run_id)
                of_a_run.kill(of_a_run.processes(process.pid))
        except Exception as error:
            self._logger.warning("Whether run %s is over is not known. %s", run_id, error)
