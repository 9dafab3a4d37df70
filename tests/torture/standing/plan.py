"""How a torture of the standing container goes, and what each of its runs does."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Plan:
    """How many runs, how fast, and what befalls them."""

    seed: int
    runs: int
    """It ends when so many have got a slot and were not isolated after all."""
    clients: int
    """Which launch at once."""
    slots: int
    run_seconds: float
    """Mean time that a run works."""
    cpu: int
    """CPU units of the server's container."""
    pause_seconds: float
    """Mean time between two troubles."""
    longest_cut_seconds: float
    """For which storage or table are cut off, or a process stands still, at most."""
    most_seconds: float
    """After which no run is launched any more."""
    among: tuple[str, ...]
    """The troubles that are drawn from."""
    warm_start: bool = True
    twin: bool = False
    """Whether the server lacks guards, which must be seen."""


@dataclass(frozen=True)
class Body:
    """What a run does."""

    seconds: float
    """How long it works."""
    end: str
    """A key of ENDS."""
    steps: bool
    """Whether its step has a process of its own."""
    automated: bool
    """Whether nobody waits for its launch."""


ENDS: Final = {"finish": 80.0, "fail": 8.0, "die": 6.0, "deaf": 4.0, "bomb": 0.7}
"""How a run may end, and how often: it dies without a word, or ignores whoever interrupts it."""
DEAF_SECONDS: Final = 30.0
BOMB_SECONDS: Final = 3.0
_IN_STEPS: Final = 0.2
_AUTOMATED: Final = 0.3


def draw(plan: Plan, number: int) -> Body:
    """The body of one run: the same for the same seed, whatever happened before."""
    chance = random.Random(f"{plan.seed}-{number}")
    [end] = chance.choices(list(ENDS), list(ENDS.values()))
    seconds = {"deaf": DEAF_SECONDS, "bomb": BOMB_SECONDS}.get(end)
    return Body(
        seconds=seconds or round(plan.run_seconds * min(5.0, chance.expovariate(1)), 2),
        end=end,
        steps=end != "bomb" and chance.random() < _IN_STEPS,
        automated=chance.random() < _AUTOMATED,
    )


QUIET: Final = Body(seconds=0.3, end="finish", steps=False, automated=False)
"""What tells of a server in peace."""
