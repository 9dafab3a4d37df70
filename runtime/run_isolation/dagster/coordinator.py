"""The run coordinator: decides, when a run is submitted, which kind it becomes.

It can't be decided later. Dagster stores STARTING before it calls a launcher: a launcher that then
hesitates either fails the run or goes past Dagster's queue.
"""

from __future__ import annotations

import logging
import time
from functools import cached_property, partial
from typing import Final

from dagster import DagsterRun, DagsterRunStatus
from dagster._core.run_coordinator.base import SubmitRunContext
from dagster._core.run_coordinator.queued_run_coordinator import QueuedRunCoordinator
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from run_isolation import start_run_timers, tag_names
from run_isolation.dagster import run_record
from run_isolation.dagster.deployment import Deployment, switched_off
from run_isolation.dagster.launched_by import launched_by
from run_isolation.dagster.reconciler_sources import make_reconciler
from run_isolation.dagster.run_record import FIRST_ATTEMPT
from run_isolation.dagster.submit.history import read_history, room_mib
from run_isolation.dagster.submit.queue_limits import queue_limit
from run_isolation.errors import ManifestError, TableError
from run_isolation.isolated.retries import Wait
from run_isolation.manifest import Size
from run_isolation.slots.decision import (
    Decision,
    Kind,
    LaunchedBy,
    Request,
    after_denial,
    after_error,
    after_history,
    decide,
)
from run_isolation.slots.item import Holder
from run_isolation.slots.settings import NonIsolatedRuns
from run_isolation.slots.slots import Acquired, Denied, Disabled, Slots

_log: Final = logging.getLogger(__name__)

_UNREAD_SETTINGS: Final = NonIsolatedRuns()
_UNREAD_SIZE: Final = Size(cpu=0, memory=0)
"""A run that does not ask is isolated whatever these are, so its launch reads nothing from AWS."""


class RunIsolationCoordinator(QueuedRunCoordinator):
    """Dagster's queue, with a way past it for non-isolated runs. Same config.

    The daemon accepts subclasses of QueuedRunCoordinator only
    (dagster/_daemon/run_coordinator/queued_run_coordinator_daemon.py).
    """

    @cached_property
    def _deployment(self) -> Deployment:
        return Deployment()

    def submit_run(self, context: SubmitRunContext) -> DagsterRun:
        """Launches a non-isolated run at once, hands any other one to Dagster's queue."""
        run = context.dagster_run
        if switched_off() or run.status is not DagsterRunStatus.NOT_STARTED:
            off = "run isolation is switched off" if switched_off() else f"it is {run.status.value}"
            _log.debug("Run %s goes to Dagster's queue undecided: %s.", run.run_id, off)
            return super().submit_run(context)
        who = launched_by(context)
        decision, expected_mib = self._decide(run, who)
        _log.debug("Run %s is %s. %s", run.run_id, decision.kind, decision.reason)
        isolated = decision.kind is Kind.ISOLATED
        try:
            run_record.write(
                self._instance,
                run,
                kind=decision.kind,
                reason=decision.reason,
                # Of either kind. So the launcher need not store it before its call.
                attempt=FIRST_ATTEMPT,
                expected_mib=expected_mib,
                wait=None if isolated or who is LaunchedBy.HAND else _left_to_watcher(),
            )
            self._instance.report_engine_event(
                f"This run is {decision.kind}. {decision.reason}", run
            )
        except BaseException:
            if not isolated:
                self._release(self._slots(who), run.run_id, _location(run))
            raise
        if isolated:
            return super().submit_run(context)
        return self._instance.launch_run(run.run_id, context.workspace)

    def _decide(self, run: DagsterRun, who: LaunchedBy) -> tuple[Decision, float | None]:
        """The decision, and for a non-isolated run the MiB that its job's recent runs had."""
        asks = run.tags.get(tag_names.ISOLATION) == tag_names.DISABLED
        request = Request(
            tags=run.tags,
            launched_by=who,
            queue_limit=queue_limit(self._instance, run) if asks else None,
            out_of_memory=run_record.out_of_memory_before(run),
        )
        if not asks:
            return decide(request, _UNREAD_SETTINGS, _UNREAD_SIZE), None
        location = _location(run)
        try:
            standing, slots = self._deployment.location(location).standing, self._slots(who)
            decision = decide(request, slots.settings(), standing)
        except ManifestError as error:
            return Decision(Kind.ISOLATED, str(error)), None
        except TableError as error:
            return after_error(error), None
        if decision.kind is Kind.ISOLATED:
            return decision, None
        history = read_history(
            self._instance, location, run.job_name, run.asset_selection or (), standing
        )
        if history.fits is False:
            return after_history(history.peak_mib, room_mib(standing), standing), None
        holder = Holder(run.run_id, FIRST_ATTEMPT, location)
        waits = who is LaunchedBy.HAND
        return self._with_slot(decision, slots, holder, waits=waits), history.peak_mib

    def _slots(self, who: LaunchedBy) -> Slots:
        """An automated launch is made in a thread of the daemon's, in which others wait."""
        deployment = self._deployment
        return deployment.slots if who is LaunchedBy.HAND else deployment.slots_at_once

    def _with_slot(
        self, decision: Decision, slots: Slots, holder: Holder, *, waits: bool
    ) -> Decision:
        try:
            answer = self._acquire(slots, holder) if waits else slots.acquire(holder)
        except TableError as error:
            # The write may have been applied all the same. The reconciler sees that, too, and no
            # thread waits for it.
            if waits:
                self._release(slots, holder.run_id, holder.location)
            return after_error(error)
        return decision if isinstance(answer, Acquired) else after_denial(answer)

    def _acquire(self, slots: Slots, holder: Holder) -> Acquired | Denied | Disabled:
        """Takes a slot. A denial stands once none of its holders is over, or they stay too long."""
        asking = Retrying(
            retry=retry_if_result(partial(self._may_change, holder.run_id)),
            wait=wait_fixed(start_run_timers.ENDING_PAUSE_SECONDS),
            stop=stop_after_delay(start_run_timers.ENDING_SECONDS),
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
        )
        answer: Acquired | Denied | Disabled = asking(slots.acquire, holder)
        return answer

    def _may_change(self, run_id: str, answer: Acquired | Denied | Disabled) -> bool:
        if not isinstance(answer, Denied):
            return False
        reconciler = make_reconciler(
            self._deployment,
            self._instance,
            self._logger,
            ask_seconds=start_run_timers.ENDING_ASK_SECONDS,
        )
        waits = reconciler.make_room(answer.holders)
        then = "asks again: a holder is over" if waits else "is denied: no holder is over"
        _log.debug("Run %s found all %d slots held, and %s.", run_id, answer.limit, then)
        return waits

    def _release(self, slots: Slots, run_id: str, location: str) -> None:
        try:
            slots.of(location).release(run_id, FIRST_ATTEMPT)
        except TableError as error:
            self._logger.warning("Slot of run %s is left to the reconciler. %s", run_id, error)


def _left_to_watcher() -> Wait:
    """An automated launch asks its server once; whatever comes of it, the watcher goes on then."""
    now = time.time()
    return Wait(since=now, until=now + start_run_timers.LEFT_TO_WATCHER_SECONDS)


def _location(run: DagsterRun) -> str:
    return run.remote_job_origin.location_name if run.remote_job_origin else ""
