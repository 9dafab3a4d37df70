"""Processes in standing containers whose runs are over: who is waited for, and who is ended.

A run ends in Dagster's storage a little before its process does, which tears resources down. One
that somebody else has ended, or deleted, has a process that knows nothing of it: its server is
asked to end it. The server interrupts it, and kills it where that does not help
(``start_run_timers.OVER_SECONDS``).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from dagster import DagsterInstance, RunRecord, RunsFilter

from run_isolation import start_run_timers, tag_names
from run_isolation.dagster.ends.stored_end import was_its_own
from run_isolation.dagster.standing.client import (
    ServerReplacedError,
    ServerSilentError,
    StandingServer,
)
from run_isolation.isolated.orphans import TEARDOWN_SECONDS
from run_isolation.server_identity import ServerIdentity
from run_isolation.slots.decision import Kind
from run_isolation.slots.item import Holder

ASK_AGAIN_SECONDS: Final = 60
"""A server that was asked to end a process has so long. Each time it gives the process its time to
end by itself."""

_log: Final = logging.getLogger(__name__)


@dataclass
class OverRuns:
    """Runs that hold a slot and are over in Dagster's storage.

    Attributes:
        instance: The storage.
        logger: For what is ended.
        clock: Seconds of the epoch.
        monotonic: Monotonic seconds.
    """

    instance: DagsterInstance
    logger: logging.Logger
    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    _asked: dict[Holder, float] = field(default_factory=dict)

    def ending(self, holders: Collection[Holder]) -> frozenset[Holder]:
        """Those whose processes will be gone in a moment: their runs have just ended."""
        records = self._records(holders)
        since = self.clock() - start_run_timers.ENDING_SECONDS
        return frozenset(
            holder
            for holder in holders
            if (record := records.get(holder.run_id)) is not None
            and record.end_time is not None
            and record.end_time >= since
        )

    def end(self, hosted: Mapping[ServerIdentity, Sequence[Holder]]) -> None:
        """Asks servers to end the processes of runs that are over, each once.

        Args:
            hosted: Holders that their servers say that they have processes of.
        """
        records = self._records([holder for theirs in hosted.values() for holder in theirs])
        asked, self._asked = self._asked, {}
        now = self.monotonic()
        for server, theirs in hosted.items():
            hears = True
            for holder in theirs:
                why = self._why_ended(records.get(holder.run_id))
                if why is None:
                    continue
                before = asked.get(holder)
                if before is None or now - before >= ASK_AGAIN_SECONDS:
                    # Of one that has become silent the others' runs would wait for each answer.
                    hears = hears and self._end(server, holder, why)
                    before = now if hears else None
                if before is not None:
                    self._asked[holder] = before

    def _why_ended(self, record: RunRecord | None) -> str | None:
        """Why nobody needs the run's process; None where it may still be at work."""
        if record is None:
            return "was deleted" if self._knows_runs() else None
        run = record.dagster_run
        if not run.is_finished:
            return None
        over = f"has ended ({run.status.value})"
        if not was_its_own(self.instance, run.run_id):
            return over
        ended = record.end_time
        torn_down = ended is not None and self.clock() - ended >= TEARDOWN_SECONDS
        return f"{over}, {TEARDOWN_SECONDS} s ago" if torn_down else None

    def _end(self, server: ServerIdentity, holder: Holder, why: str) -> bool:
        """Whether the server has heard."""
        try:
            StandingServer(server.address).cancel_run(holder.run_id)
        except (ServerSilentError, ServerReplacedError) as error:
            self.logger.warning("Run %s %s, and its process goes on. %s", holder.run_id, why, error)
            return False
        self.logger.info(
            "Run %s %s: task %s is asked to end its process.", holder.run_id, why, server.task_arn
        )
        return True

    def _records(self, holders: Collection[Holder]) -> Mapping[str, RunRecord]:
        if not holders:
            return {}
        wanted = RunsFilter(run_ids=sorted({holder.run_id for holder in holders}))
        return {
            record.dagster_run.run_id: record for record in self.instance.get_run_records(wanted)
        }

    def _knows_runs(self) -> bool:
        """Whether any non-isolated run is stored: a wrong or new database has none."""
        ours = RunsFilter(tags={tag_names.KIND: Kind.NON_ISOLATED.value})
        return bool(self.instance.get_runs(ours, limit=1))
