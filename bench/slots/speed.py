"""How fast a slot is taken and given back, and how many calls and request units that costs."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from bench.slots.contenders import Contender
from bench.wire import Wire

CYCLES_TO_COUNT: Final = 20


@dataclass
class Course:
    """All callers of one contender at once, each in a thread; a denied one asks again."""

    callers: Sequence[Contender]
    most_at_once: int = 0
    """How many were in, from the answer to their acquire to their release, in all runs so far."""
    _inside: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, seconds: float, hold_seconds: float = 0.0) -> float:
        """Acquires, holds and releases; cycles per second."""
        start = threading.Barrier(len(self.callers) + 1)
        stop = threading.Event()
        done = [0] * len(self.callers)

        def work(n: int) -> None:
            start.wait()
            while not stop.is_set():
                done[n] += self._cycle(self.callers[n], hold_seconds)

        threads = [threading.Thread(target=work, args=[n]) for n in range(len(self.callers))]
        for thread in threads:
            thread.start()
        start.wait()
        began = time.perf_counter()
        stop.wait(seconds)
        stop.set()
        for thread in threads:
            thread.join()
        return sum(done) / (time.perf_counter() - began)

    def trial(self, seconds: float) -> int:
        """How many were in at once at most, each for 10 ms.

        Raises:
            RuntimeError: Nobody got in, so that it says nothing.
        """
        self.run(seconds, hold_seconds=0.01)
        if not self.most_at_once:
            raise RuntimeError(f"{self.callers[0].name} let in nobody for {seconds} s")
        return self.most_at_once

    def _cycle(self, caller: Contender, hold_seconds: float) -> bool:
        who = str(uuid.uuid4())
        if not caller.try_acquire(who):
            return False
        with self._lock:
            self._inside.add(who)
            self.most_at_once = max(self.most_at_once, len(self._inside))
        if hold_seconds:
            time.sleep(hold_seconds)
        with self._lock:
            self._inside.remove(who)
        caller.release(who)
        return True


def cost_of_a_cycle(caller: Contender, wire: Wire) -> tuple[float, float]:
    """Calls and request units of one acquire and release, while no one else asks."""
    caller.try_acquire("first")  # what only the first one in a table's life costs
    caller.release("first")
    wire.calls.clear()
    for _ in range(CYCLES_TO_COUNT):
        who = str(uuid.uuid4())
        if not caller.try_acquire(who):
            raise RuntimeError(f"{caller.name} was denied a free slot")
        caller.release(who)
    return _cost_each(wire)


def cost_of_a_denial(caller: Contender, wire: Wire) -> tuple[float, float]:
    """Calls and request units of one acquire while all slots are taken."""
    holders = [str(uuid.uuid4()) for _ in range(caller.limit)]
    for who in holders:
        if not caller.try_acquire(who):
            raise RuntimeError(f"{caller.name} was denied a free slot")
    wire.calls.clear()
    for _ in range(CYCLES_TO_COUNT):
        if caller.try_acquire(str(uuid.uuid4())):
            raise RuntimeError(f"{caller.name} let in more than {caller.limit}")
    cost = _cost_each(wire)
    for who in holders:
        caller.release(who)
    return cost


def _cost_each(wire: Wire) -> tuple[float, float]:
    calls = len(wire.calls) / CYCLES_TO_COUNT
    return calls, sum(call.units for call in wire.calls) / CYCLES_TO_COUNT
