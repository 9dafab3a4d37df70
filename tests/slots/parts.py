"""What is proved: by the machine on one thread, by the torture with real processes."""

from __future__ import annotations

from dataclasses import dataclass

from run_isolation import Slots
from run_isolation.slots.reconciler import Reconciler
from run_isolation.standing.hosting import Hosting


@dataclass(frozen=True)
class Parts:
    """The parts that keep the count right; a twin has one without its guard."""

    slots: type[Slots] = Slots
    hosting: type[Hosting[str]] = Hosting
    reconciler: type[Reconciler] = Reconciler
    reconcilers: int = 2
