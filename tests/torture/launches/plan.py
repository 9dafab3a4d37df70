"""How a torture of launches goes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """How many launches, and how fast."""

    seed: int
    launches: int
    real: int
    """How many of them have real workers, some of these in the standing container."""
    at_once: int
    """How many runs may be unfinished at once."""
    pause_seconds: float
    """Mean time between two acts against all runs: the daemon killed, a service down."""
    most_seconds: float
    """After which no launch is begun any more."""
    among: tuple[str, ...]
    """The troubles that are drawn from."""
    claims: bool = True
    """Whether stub workers claim their runs; without that it must fail."""
