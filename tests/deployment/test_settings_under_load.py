"""An acquire that begins after `up` has returned obeys what it wrote, whatever goes on meanwhile.

Through the real engine, on the local account: moto's table behind localaws' lock.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import pytest

from localaws.account import LocalAccount
from run_isolation.slots.item import Holder
from run_isolation.slots.slots import Acquired, Denied, Disabled, Slots
from tests.deployment.conftest import MakeStack, config
from tests.deployment.stack import DeployedStack
from tests.slots.twins import Remembers

pytestmark = pytest.mark.engine

STACK = "underload"
LIMITS = [2, 0, 3, 1]
LAUNCHERS = 6


@dataclass(frozen=True)
class Asked:
    """One acquire and when it began."""

    begin: float
    answer: Acquired | Denied | Disabled
    holders: int
    """How many there were at most when it got its answer, as far as this process knows."""


@dataclass
class Launchers:
    """Threads that acquire and release as fast as they can, each with a client of its own."""

    account: LocalAccount
    asked: list[Asked] = field(default_factory=list)
    stop: Event = field(default_factory=Event)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def work(self) -> None:
        slots = Slots(self.account.client("dynamodb"), f"run-isolation-{STACK}-slots")
        while not self.stop.is_set():
            holder = Holder(f"run-{next(self.numbers)}", 1, "probe")
            begin = time.monotonic()
            answer = slots.acquire(holder)
            holders = len(slots.holders()) if isinstance(answer, Acquired) else 0
            self.asked.append(Asked(begin, answer, holders))
            if isinstance(answer, Acquired):
                slots.release(holder.run_id, 1)


@pytest.fixture(scope="module")
def stack(make_stack: MakeStack, tmp_path_factory: pytest.TempPathFactory) -> DeployedStack:
    stack = make_stack(STACK)
    set_limit(stack, tmp_path_factory.mktemp("instance"), 1)
    return stack


def set_limit(stack: DeployedStack, directory: Path, limit: int) -> None:
    settings = {"enabled": limit > 0, "max_concurrent_non_isolated_runs": max(limit, 1)}
    stack.write(config(directory, non_isolated_runs=settings))
    stack.up()


def test_every_acquire_after_up_obeys_it(
    stack: DeployedStack, account: LocalAccount, tmp_path: Path
) -> None:
    launchers = Launchers(account)
    cached = Remembers(account.client("dynamodb"), f"run-isolation-{STACK}-slots")
    assert cached.acquire(Holder("early", 1, "probe"))
    cached.release("early", 1)
    spans: list[tuple[float, float, int]] = []
    with ThreadPoolExecutor(LAUNCHERS) as pool:
        work = [pool.submit(launchers.work) for _ in range(LAUNCHERS)]
        try:
            for limit in LIMITS:
                set_limit(stack, tmp_path, limit)
                returned = time.monotonic()
                if limit == 0:
                    # The negative control: it still has the settings of before.
                    assert not isinstance(cached.acquire(Holder("late", 1, "probe")), Disabled)
                time.sleep(1)  # in which launchers ask under this limit alone
                spans.append((returned, time.monotonic(), limit))
        finally:
            launchers.stop.set()
        for each in work:
            each.result()

    for begin, end, limit in spans:
        asked = [each for each in launchers.asked if begin <= each.begin < end]
        assert len(asked) > 20, f"too few acquires under limit {limit} to prove anything"
        answers = [each.answer for each in asked]
        if limit == 0:
            assert {type(answer) for answer in answers} == {Disabled}
            continue
        assert {answer.limit for answer in answers if isinstance(answer, Denied)} == {limit}
        assert not [answer for answer in answers if isinstance(answer, Disabled)]
        # A holder of before may still be there, so only what began later counts.
        assert max(each.holders for each in asked[LAUNCHERS:]) <= limit
