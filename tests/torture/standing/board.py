"""The launches of a torture: what clients know of each, and what is done to them meanwhile."""

from __future__ import annotations

import random
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock

from tests.torture.standing.plan import Body

ISOLATED = "isolated"
DELETED = "deleted"


@dataclass
class Launched:
    """One run that got a slot. Times are seconds since 1970."""

    run_id: str
    body: Body
    acquired_at: float
    answered_at: float | None = None
    """When its launch was over, whatever came of it."""
    end: str = ""
    """Its last status, ISOLATED or DELETED; empty while it is none of these."""
    over_at: float | None = None
    """When that was seen."""
    why: str = ""
    """Why it was isolated."""
    acts: list[tuple[float, str]] = field(default_factory=list)
    """What was done to it from outside."""


@dataclass
class Board:
    """All of them, and what went wrong with who launches."""

    launched: dict[str, Launched] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    """Of what happens often: denials, tables that do not answer."""
    crashes: list[str] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def add(self, launched: Launched) -> None:
        """A run has a slot."""
        with self._lock:
            self.launched[launched.run_id] = launched

    def count(self, what: str) -> None:
        """One more."""
        with self._lock:
            self.counts[what] += 1

    def let_in(self) -> int:
        """How many runs were not isolated after all."""
        with self._lock:
            return sum(one.end != ISOLATED for one in self.launched.values())

    def any_unsettled(self, chance: random.Random) -> Launched | None:
        """One of those that are not over."""
        with self._lock:
            unsettled = [one for one in self.launched.values() if not one.end]
        return chance.choice(unsettled) if unsettled else None

    def act(self, launched: Launched, what: str) -> None:
        """Something is done to a run now."""
        launched.acts.append((time.time(), what))

    @contextmanager
    def noting_crashes(self, who: str, *expected: type[BaseException]) -> Iterator[None]:
        """Notes what is raised and was not expected."""
        try:
            yield
        except expected as error:
            self.count(f"{who}: {type(error).__name__}")
        except Exception:
            with self._lock:
                self.crashes.append(f"{who}: {traceback.format_exc()}")
