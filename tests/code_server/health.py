"""Asks a server for its health, all the time, as the container's health check and ECS do."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread

from tests.code_server.servers import CodeServer

BETWEEN_SECONDS = 0.2
STRICT_SECONDS = 1.0
LOADED_SECONDS = 5.0
LOAD_PER_CPU = 1.5
"""Above it this machine has others' work to do, and a second says nothing about the server."""


@dataclass
class Health:
    """What was seen.

    Attributes:
        answers: Seconds that each answer took.
        strict_seconds: How long an answer may take on a machine that has nothing else to do.
        refusals: Answers that were none, or not SERVING.
        loads: The machine's load average at each answer, per CPU, the server's own share with it.
    """

    strict_seconds: float = STRICT_SECONDS
    answers: list[float] = field(default_factory=list)
    refusals: int = 0
    loads: list[float] = field(default_factory=list)

    @property
    def allowed_seconds(self) -> float:
        """How long an answer may take: more where the machine was too busy."""
        busy = max(self.loads, default=0.0) > LOAD_PER_CPU
        return LOADED_SECONDS if busy else self.strict_seconds

    def words(self) -> str:
        """For people: what held, and under which load."""
        return (
            f"{len(self.answers)} health checks, the slowest {max(self.answers, default=0):.2f} s, "
            f"allowed {self.allowed_seconds:g} s at a load of {max(self.loads, default=0):.1f} "
            f"per CPU, {self.refusals} without a good answer"
        )

    def check(self) -> None:
        """Fails where the server did not answer in time."""
        assert self.answers, "nobody asked"
        assert self.refusals == 0, self.words()
        assert max(self.answers) <= self.allowed_seconds, self.words()


@contextmanager
def watched(server: CodeServer, strict_seconds: float = STRICT_SECONDS) -> Iterator[Health]:
    """Asks until the end of the block, and then checks every answer."""
    health, over = Health(strict_seconds), Event()
    thread = Thread(target=_ask, args=(server, health, over), daemon=True)
    thread.start()
    try:
        yield health
    finally:
        over.set()
        thread.join(2 * LOADED_SECONDS)
    print(f"{server.kind.name}: {health.words()}")
    health.check()


def _ask(server: CodeServer, health: Health, over: Event) -> None:
    cpus = len(os.sched_getaffinity(0))
    while not over.is_set():
        began = time.monotonic()
        healthy = server.is_healthy()
        health.answers.append(time.monotonic() - began)
        health.refusals += not healthy
        health.loads.append(os.getloadavg()[0] / cpus)
        over.wait(BETWEEN_SECONDS)
