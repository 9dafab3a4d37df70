"""Clients: what coordinator and launcher do about a non-isolated run, with the product's parts."""

from __future__ import annotations

import itertools
import logging
import random
import threading
import time
from contextlib import suppress
from typing import Final

from dagster import DagsterEvent, DagsterEventType, DagsterRun
from dagster._core.errors import DagsterRunNotFoundError
from sqlalchemy.exc import IntegrityError
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from run_isolation import Acquired, Denied, Holder, TableError, start_run_timers
from run_isolation.dagster import run_record
from run_isolation.dagster.launch.non_isolated_start import NonIsolatedStart
from run_isolation.dagster.reconciler_sources import make_reconciler
from run_isolation.isolated.retries import Wait
from run_isolation.slots.decision import Kind
from run_isolation.start_run_timers import Patience
from run_isolation.tag_names import REASON
from tests.torture.standing.board import DELETED, ISOLATED, Board, Launched
from tests.torture.standing.plan import Body, Plan, draw
from tests.torture.standing.world import EXPECTED_MIB, LOCATION_NAME, World

LOGGER: Final = logging.getLogger("torture.clients")
LOOK_SECONDS: Final = 0.5
GIVE_UP_SECONDS: Final = 420.0
"""A client waits so long for the end of a run, whatever is cut off."""


class Clients:
    """Threads that launch runs until there were enough."""

    def __init__(self, plan: Plan, world: World, board: Board) -> None:
        self._plan = plan
        self._world = world
        self._board = board
        self._numbers = itertools.count(1)
        self._until = time.monotonic() + plan.most_seconds
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Starts them."""
        for number in range(self._plan.clients):
            chance = random.Random(f"{self._plan.seed}-client-{number}")
            thread = threading.Thread(target=self._launch_on_and_on, args=(chance,), daemon=True)
            thread.start()
            self._threads.append(thread)

    @property
    def at_work(self) -> bool:
        """Whether one of them has something to do."""
        return any(thread.is_alive() for thread in self._threads)

    def once(self, body: Body, expected_mib: float | None = None) -> Launched | None:
        """Launches a run and waits for its end; None where it got no slot."""
        if expected_mib is None and self._plan.warm_start:
            expected_mib = EXPECTED_MIB
        run = self._world.new_run(body)
        run_id = run.run_id
        acquired_at = time.time()
        if not self._acquire(Holder(run_id, run_record.FIRST_ATTEMPT, LOCATION_NAME)):
            self._world.instance.delete_run(run_id)
            return None
        launched = Launched(run_id, body, acquired_at)
        self._board.add(launched)
        # Whoever deletes a run that is being launched has its launch fail.
        with self._board.noting_crashes("launch", DagsterRunNotFoundError, IntegrityError):
            self._start(run, body, expected_mib)
        launched.answered_at = time.time()
        self._await_end(launched)
        return launched

    def _launch_on_and_on(self, chance: random.Random) -> None:
        while time.monotonic() < self._until and self._wanted():
            launched = None
            with self._board.noting_crashes("client"):
                launched = self.once(draw(self._plan, next(self._numbers)))
            # What was not let in comes back later: most should get in.
            let_in = launched is not None and launched.end != ISOLATED
            time.sleep(chance.uniform(0, 0.5) if let_in else chance.uniform(0.5, 3))

    def _wanted(self) -> bool:
        return self._board.let_in() < self._plan.runs

    def _acquire(self, holder: Holder) -> bool:
        """As the coordinator does."""
        slots = self._world.deployment.slots
        asking = Retrying(
            retry=retry_if_result(self._may_change),
            wait=wait_fixed(start_run_timers.ENDING_PAUSE_SECONDS),
            stop=stop_after_delay(start_run_timers.ENDING_SECONDS),
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
        )
        try:
            answer = asking(slots.acquire, holder)
        except TableError:
            self._board.count("no answer of the table")
            with suppress(TableError):
                slots.release(holder.run_id, holder.attempt)
            return False
        if isinstance(answer, Denied):
            self._board.count("denied")
        return isinstance(answer, Acquired)

    def _may_change(self, answer: object) -> bool:
        if not isinstance(answer, Denied):
            return False
        world = self._world
        reconciler = make_reconciler(world.deployment, world.instance, LOGGER)
        return reconciler.make_room(answer.holders)

    def _start(self, run: DagsterRun, body: Body, expected_mib: float | None) -> None:
        """As coordinator, Dagster and launcher do."""
        instance = self._world.instance
        now = time.time()
        left = Wait(since=now, until=now + start_run_timers.LEFT_TO_WATCHER_SECONDS)
        run_record.write(
            instance,
            run,
            kind=Kind.NON_ISOLATED,
            reason="It is tormented.",
            attempt=run_record.FIRST_ATTEMPT,
            expected_mib=expected_mib,
            wait=left if body.automated else None,
        )
        starting = DagsterEvent(DagsterEventType.RUN_STARTING.value, job_name=run.job_name)
        instance.report_dagster_event(starting, run_id=run.run_id)
        stored = instance.get_run_by_id(run.run_id)
        if stored is not None:
            patience = Patience.AUTOMATED if body.automated else Patience.PERSON
            start = NonIsolatedStart(self._world.deployment, instance, stored, patience)
            start.at_one_of(self._world.host.servers())

    def _await_end(self, launched: Launched) -> None:
        until = time.monotonic() + GIVE_UP_SECONDS
        while time.monotonic() < until:
            run = self._world.instance.get_run_by_id(launched.run_id)
            if end := _end_of(run):
                launched.why = run.tags.get(REASON, "") if run is not None else ""
                launched.over_at = time.time()
                launched.end = end
                return
            time.sleep(LOOK_SECONDS)


def _end_of(run: DagsterRun | None) -> str:
    if run is None:
        return DELETED
    if run.is_finished:
        return run.status.value
    return ISOLATED if run_record.read(run).kind is Kind.ISOLATED else ""
