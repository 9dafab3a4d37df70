"""A server in peace: what it has after its first runs, and whether anything is left at the end."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from tests.torture.standing import processes
from tests.torture.standing.clients import Clients
from tests.torture.standing.plan import QUIET, Plan
from tests.torture.standing.world import World

FIRST_RUNS: Final = 6
"""So many at once, so that threads are there that come when they are needed."""
SETTLE_SECONDS: Final = 60.0
TOO_MUCH_MIB: Final = 1_000_000
"""No container has so much: its refusal tells what is kept for others."""
MORE: Final[Mapping[str, int]] = {"threads": 8, "descriptors": 16, "processes": 0}
"""So many more than after the first runs there may be: pools and connections that had not come to
their size. One for each run would be hundreds."""
_KEPT: Final = re.compile(r"of which (\d+) are kept for other runs")


def first_runs(plan: Plan, world: World, clients: Clients) -> dict[str, int]:
    """What the server has after some runs in peace."""
    current = world.host.current
    assert current is not None
    count = min(FIRST_RUNS, plan.slots)
    with ThreadPoolExecutor(count) as pool:
        done = list(pool.map(lambda _: clients.once(QUIET), range(count)))
    assert all(one is not None and one.end == "SUCCESS" for one in done), done
    settled(lambda: not world.slots.holders())
    settled(lambda: not processes.look().called(current.pid, processes.KEEPER))
    return current.resources()


def settled(look: Callable[[], bool], seconds: float = SETTLE_SECONDS) -> bool:
    """Waits until it is so; whether it came to that."""
    until = time.monotonic() + seconds
    while not look():
        if time.monotonic() > until:
            return False
        time.sleep(0.5)
    return True


def what_is_left(world: World, clients: Clients, peace: Mapping[str, int]) -> Iterator[str]:
    """In words; nothing where the server is as it was, and takes runs."""
    current = world.host.current
    if current is None or not current.server.alive:
        yield "the server is gone"
        return
    if not settled(lambda: not world.slots.holders()):
        yield f"slots of {[holder.run_id for holder in world.slots.holders()]}"
    asked = clients.once(QUIET, TOO_MUCH_MIB)
    kept = _KEPT.search(asked.why) if asked is not None else None
    if kept is None:
        yield f"unknown memory: {asked.why if asked is not None else 'no slot'}"
    elif kept[1] != "0":
        yield f"{kept[1]} MiB for runs that there are not"
    last = clients.once(QUIET)
    if last is None or last.end != "SUCCESS":
        yield f"a server that takes no run: {last}"

    def too_many() -> list[str]:
        now = current.resources()
        return [
            f"{now[name]} {name}, {peace[name]} in peace"
            for name in peace
            if now[name] > peace[name] + MORE[name]
        ]

    settled(lambda: not too_many())
    yield from too_many()
