"""A launcher: what coordinator and run launcher do about slots, again and again."""

from __future__ import annotations

import logging
import random
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Final

from tenacity import Retrying, retry_if_not_result, stop_after_delay, wait_random_exponential
from types_boto3_dynamodb import DynamoDBClient

from run_isolation import Acquired, Denied, Holder, Slots, TableError
from run_isolation.server_identity import ServerIdentity
from run_isolation.slots.reconciler import Reconciler
from tests.slots.parts import Parts
from tests.torture.slots.place import ISOLATED, STARTING, TABLE, Place
from tests.torture.slots.standing import Servers, ask

LOGGER: Final = logging.getLogger(__name__)
RESOLVE_SECONDS: Final = 20
"""How long a launch asks a server that does not answer."""


def launch_for_ever(
    parts: Parts, client: DynamoDBClient, directory: Path, number: int, seconds: float, seed: str
) -> None:
    """Launches runs until it is killed, or asked to stop by a file."""
    place = Place(directory)
    chance = random.Random(seed)
    launcher = Launcher(place, parts, client, chance, seconds)
    while not (directory / "stop").exists():
        run_id = str(uuid.uuid4())
        place.launching.write(number, run_id)
        launched = launcher.launch(run_id)
        place.launching.write(number, "")
        # A denied one comes back later than one that was let in: most of them should get in.
        time.sleep(chance.uniform(0, 1) if launched else chance.uniform(0.5, 3))


class Launcher:
    """One launcher."""

    def __init__(
        self,
        place: Place,
        parts: Parts,
        client: DynamoDBClient,
        chance: random.Random,
        seconds: float,
    ) -> None:
        self.place = place
        self.slots = parts.slots(client, TABLE, "sales")
        self.chance = chance
        self.seconds = seconds
        self.reconciler = make_reconciler(parts, place, self.slots)

    def launch(self, run_id: str) -> bool:
        """Launches one run. Whether it got a slot."""
        self.place.runs.create(run_id)
        holder = Holder(run_id, 1, "sales")
        try:
            acquired = self._acquire(holder)
        except TableError:
            self.place.note("launches", "unknown")
            self._isolate(holder)
            self._release(holder)
            return False
        self.place.note("launches", "acquired" if acquired else "denied")
        if acquired:
            self._start(holder)
        else:
            self._isolate(holder)
        return acquired

    def _acquire(self, holder: Holder) -> bool:
        answer = self.slots.acquire(holder)
        if isinstance(answer, Denied) and self.reconciler.make_room(answer.holders):
            answer = self.slots.acquire(holder)
        return isinstance(answer, Acquired)

    def _start(self, holder: Holder) -> None:
        server = self.chance.choice(self.place.servers())
        seconds = self.chance.uniform(0, 2 * self.seconds)
        asking = Retrying(
            retry=retry_if_not_result(bool),
            wait=wait_random_exponential(multiplier=0.2, max=5),
            stop=stop_after_delay(RESOLVE_SECONDS),
            retry_error_callback=lambda _: "nobody knows",
        )
        if asking(self._start_once, holder, server, seconds) == "refused":
            self.place.note("launches", "refused")
            self._isolate(holder)
            self._release(holder)

    def _start_once(self, holder: Holder, server: ServerIdentity, seconds: float) -> str:
        """What is known; empty while nothing is."""
        try:
            answer = ask(server, run=holder.run_id, attempt=holder.attempt, seconds=seconds)
        except OSError:
            return "refused" if self.place.stopped(server.task_arn) else ""
        return "started" if answer.get("start") == "started" else "refused"

    def _isolate(self, holder: Holder) -> None:
        """Sends the run to a task of its own, unless it has begun already."""
        if self.place.runs.change(holder.run_id, ISOLATED, STARTING):
            self.place.note("executions", holder.run_id)

    def _release(self, holder: Holder) -> None:
        with suppress(TableError):
            self.slots.release(holder.run_id, holder.attempt)


def make_reconciler(
    parts: Parts, place: Place, slots: Slots, abandoned_seconds: float = 300
) -> Reconciler:
    """The library's reconciler, which asks this torture's storage, servers and tasks."""
    return parts.reconciler(
        slots, place.runs, Servers(), place, LOGGER, abandoned_seconds=abandoned_seconds
    )


def reconcile_for_ever(
    parts: Parts, client: DynamoDBClient, directory: Path, seconds: float, abandoned_seconds: float
) -> None:
    """Reconciles until it is killed."""
    place = Place(directory)
    reconciler = make_reconciler(parts, place, parts.slots(client, TABLE), abandoned_seconds)
    while True:
        with suppress(TableError):
            for removed in reconciler.reconcile():
                place.note("removed", removed.why)
        time.sleep(seconds)
