"""The network's weather: a proxy whose faults come and go."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Mapping
from typing import Final

from tests.slots.proxy import Fault, Proxy

CALM: Final[Mapping[Fault, float]] = {Fault.NONE: 1}
USUAL: Final[Mapping[Fault, float]] = {
    Fault.NONE: 300,
    Fault.LOSE_REQUEST: 2,
    Fault.LOSE_ANSWER: 3,
    Fault.HOLD_BACK: 2,
    Fault.REPEAT: 3,
    Fault.SLOW_REQUEST: 1,
    Fault.SLOW_ANSWER: 1,
}
STORM: Final[Mapping[Fault, float]] = {**USUAL, Fault.NONE: 30}
OUTAGE: Final[Mapping[Fault, float]] = {Fault.LOSE_REQUEST: 1}
LATEST_SECONDS: Final = 8
"""After which no request arrives any more."""
KINDS: Final = [*[USUAL] * 8, STORM, STORM, OUTAGE]


def blow(target_port: int, port: int, seed: str) -> None:
    """Serves until it is killed. SIGUSR1 brings calm that lasts."""
    asyncio.run(_Weather(target_port, seed).blow(port))


class _Weather:
    def __init__(self, target_port: int, seed: str) -> None:
        self.chance = random.Random(seed)
        self.kind = USUAL
        self.over = asyncio.Event()
        self.proxy = Proxy(
            target_port,
            self.decide,
            late_seconds=lambda: self.chance.uniform(0, LATEST_SECONDS),
            slow_seconds=lambda: self.chance.uniform(0, 4),
        )

    def decide(self, operation: str) -> Fault:
        return self.chance.choices(list(self.kind), list(self.kind.values()))[0]

    async def blow(self, port: int) -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, self.over.set)
        await self.proxy.serve(port)
        while not self.over.is_set():
            self.kind = self.chance.choice(KINDS)
            seconds = 3 if self.kind is OUTAGE else self.chance.uniform(2, 20)
            try:
                await asyncio.wait_for(self.over.wait(), seconds)
            except TimeoutError:
                continue
        self.kind = CALM
        await asyncio.Event().wait()
