"""The reconciler: removes holders whose runs are over, which nobody told the slot table.

Nothing here is decided by a lease or by the clock of another machine. Dagster's storage, ECS and
the servers are asked, about all holders at once; what is doubtful stays.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError
from dagster import DagsterInstance, DagsterRun

from run_isolation.dagster import run_tags
from run_isolation.dagster.deployment import Deployment
from run_isolation.dagster.holders import stored_runs, why_over
from run_isolation.dagster.standing_server import (
    ServerReplacedError,
    ServerSilentError,
    StandingServer,
)
from run_isolation.dagster.tasks import describe
from run_isolation.slots import Holder

CONFIRM_SECONDS: Final = 5
"""A server has to disown a run twice, at least this far apart: between the launcher's note of the
address and StartRun lie milliseconds, in which the run is not there yet."""

ABANDONED_SECONDS: Final = 300
"""A holder of which no server is known for this long: its launcher died on the way. Launching takes
it less than a minute to find the server, or it sends the run back to the queue."""


@dataclass(frozen=True)
class Removed:
    """A holder that was removed, and why."""

    holder: Holder
    why: str


@dataclass
class Reconciler:
    """Remembers, between passes, since when something has been doubtful."""

    deployment: Deployment
    logger: logging.Logger
    clock: Callable[[], float] = time.monotonic
    _doubted_since: dict[Holder, float] = field(default_factory=dict)

    def reconcile(self, instance: DagsterInstance) -> list[Removed]:
        """One pass.

        Raises:
            TableError: The slot table did not answer.
            ManifestError: The deployment is not known.
        """
        holders = self.deployment.slots.holders()
        over = self._over(instance, holders)
        removed = []
        for holder, why in over.items():
            if self.deployment.slots.release(holder.run_id, holder.attempt):
                self.logger.info("Slot of run %s removed: %s.", holder.run_id, why)
                removed.append(Removed(holder, why))
        return removed

    def _over(self, instance: DagsterInstance, holders: Sequence[Holder]) -> dict[Holder, str]:
        runs = stored_runs(instance, holders)
        over = {holder: why for holder in holders if (why := why_over(holder, runs))}
        going_on = [holder for holder in holders if holder not in over]
        over |= self._in_stopped_tasks(going_on, runs)
        doubtful = self._doubtful([holder for holder in going_on if holder not in over], runs)
        return over | self._confirmed(doubtful)

    def _in_stopped_tasks(
        self, holders: Sequence[Holder], runs: Mapping[str, DagsterRun]
    ) -> dict[Holder, str]:
        tasks = {
            holder: task_arn
            for holder in holders
            if (task_arn := run_tags.read(runs[holder.run_id]).task_arn)
        }
        if not tasks:
            return {}
        try:
            states = describe(self.deployment.ecs, self.deployment.manifest.cluster, tasks.values())
        except (BotoCoreError, ClientError) as error:
            self.logger.warning("ECS could not be asked about standing tasks: %s", error)
            return {}
        return {
            holder: f"its task {arn} has stopped: {states[arn].reason}"
            for holder, arn in tasks.items()
            if states[arn].stopped
        }

    def _doubtful(
        self, holders: Sequence[Holder], runs: Mapping[str, DagsterRun]
    ) -> dict[Holder, tuple[str, float]]:
        """Holders that seem to have no process: why, and for how long they have to seem so."""
        doubtful: dict[Holder, tuple[str, float]] = {}
        by_server = defaultdict(list)
        for holder in holders:
            ours = run_tags.read(runs[holder.run_id])
            if ours.address is None or ours.task_arn is None:
                doubtful[holder] = "its launch was given up halfway", ABANDONED_SECONDS
            else:
                by_server[ours.address, ours.task_arn].append(holder)
        for (address, task_arn), hosted in by_server.items():
            try:
                running = StandingServer(address).current_runs(task_arn)
            except ServerReplacedError:
                running = frozenset()
            except ServerSilentError as error:
                self.logger.warning("%s", error)
                continue
            for holder in hosted:
                if holder.run_id not in running:
                    why = f"the server of task {task_arn} has no process of it"
                    doubtful[holder] = why, CONFIRM_SECONDS
        return doubtful

    def _confirmed(self, doubtful: Mapping[Holder, tuple[str, float]]) -> dict[Holder, str]:
        now = self.clock()
        self._doubted_since = {holder: self._doubted_since.get(holder, now) for holder in doubtful}
        return {
            holder: why
            for holder, (why, seconds) in doubtful.items()
            if now - self._doubted_since[holder] >= seconds
        }
