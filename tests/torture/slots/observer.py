"""An independent observer: it compares what the table says with what is alive, time and again.

It believes neither: who is alive says the kernel, and the table is read past the proxy.
"""

from __future__ import annotations

import json
import signal
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Final

from types_boto3_dynamodb import DynamoDBClient

from run_isolation import Slots, TableError
from tests.torture.slots.place import TABLE, Place

SAMPLE_SECONDS: Final = 0.2
LEAK_SECONDS: Final = 1.0
"""A slot that nobody uses for so long is leaked. A release takes milliseconds."""


@dataclass
class Observed:
    """What was seen."""

    samples: int = 0
    most_alive: int = 0
    most_holders: int = 0
    alive_without_slot: list[str] = field(default_factory=list)
    leaked_seconds: list[float] = field(default_factory=list)
    """Of each slot that was leaked and is free again."""
    leaked: list[str] = field(default_factory=list)
    """Runs whose slots are leaked now."""


def observe_for_ever(client: DynamoDBClient, directory: Path) -> None:
    """Samples until SIGTERM, then writes what it saw into the file `observed`."""
    observer = _Observer(Place(directory), Slots(client, TABLE))
    signal.signal(signal.SIGTERM, observer.stop)
    while not observer.stopped:
        observer.sample()
        time.sleep(SAMPLE_SECONDS)
    observer.sample()
    (directory / "observed").write_text(json.dumps(asdict(observer.seen)))


class _Observer:
    def __init__(self, place: Place, slots: Slots) -> None:
        self.place = place
        self.slots = slots
        self.stopped = False
        self.seen = Observed()
        self.idle_since: dict[str, float] = {}

    def stop(self, number: int, frame: FrameType | None) -> None:
        self.stopped = True

    def sample(self) -> None:
        before = self.place.seats.alive()
        try:
            holders = {holder.run_id for holder in self.slots.holders()}
        except TableError:
            return  # it restarts
        alive = self.place.seats.alive()
        self.seen.samples += 1
        self.seen.most_alive = max(self.seen.most_alive, len(alive))
        self.seen.most_holders = max(self.seen.most_holders, len(holders))
        # Alive before and after the table was read, so alive meanwhile.
        self.seen.alive_without_slot += (before.keys() & alive.keys()) - holders
        self._find_leaks(holders, {*before, *alive, *self.place.launching.read()})

    def _find_leaks(self, holders: set[str], busy: set[str]) -> None:
        now = time.monotonic()
        for run in list(self.idle_since):
            if run not in holders or run in busy:
                seconds = now - self.idle_since.pop(run)
                if seconds >= LEAK_SECONDS and run not in busy:
                    self.seen.leaked_seconds.append(seconds)
        for run in holders - busy:
            self.idle_since.setdefault(run, now)
        self.seen.leaked = sorted(self.idle_since)
