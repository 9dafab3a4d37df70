"""What ours and the rivals do when something goes wrong. Each cell is run and observed."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from bench.harness import Cell
from bench.slots.caller import Caller
from bench.slots.contenders import FOREVER_SECONDS, Contender
from bench.slots.speed import Course
from bench.wire import Wire

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

LEASE_SECONDS: Final = 1
"""As short as the libraries with a lease allow."""
PATIENCE_SECONDS: Final = 5.0
"""How long a second caller waits: longer than any such lease."""


class Stage:
    """Where one contender meets the faults: a table for each."""

    def __init__(self, contender: type[Contender], client: DynamoDBClient, wire: Wire) -> None:
        self.contender = contender
        self.wire = wire
        self._client = client
        self._table = ""
        self._limit = 0

    def set(self, limit: int) -> None:
        """A new table for so many slots."""
        self._table, self._limit = f"bench-{uuid.uuid4()}", limit
        self.contender.provision(self._client, self._table, limit)

    def caller(self, lease_seconds: float = FOREVER_SECONDS) -> Caller:
        """A new process that asks for slots here."""
        return Caller(self.contender.name, self._table, self._limit, lease_seconds)

    def thread_caller(self) -> Contender:
        """A caller in this process."""
        return self.contender(self._table, self._limit)

    def taken(self) -> int:
        """How many slots are taken, as the table says."""
        return self.contender.held(self._client, self._table)


Observed = dict[str, bool | int | float | str | None]
Verdict = tuple[str, bool]


def lost_answer(stage: Stage) -> tuple[Verdict, Observed]:
    """Its write is carried out, the answer is lost, and the SDK sends it again."""
    stage.set(limit=2 if stage.contender.counts_slots else 1)
    with stage.caller() as a:
        stage.wire.lose_answers_of_writes(1)
        told = a.acquire("a")
        stage.wire.lose_answers_of_writes(0)
    taken = stage.taken()
    return _told(told, taken), {"told": told, "slots_taken": taken}


def retry_by_the_same_caller(stage: Stage) -> tuple[Verdict, Observed]:
    """A caller that is in asks again, from a new process and by the same name."""
    stage.set(limit=2 if stage.contender.counts_slots else 1)
    with stage.caller() as a, stage.caller() as again:
        a.acquire("a")
        told = again.acquire("a")
    taken = stage.taken()
    return _told(told, taken), {"told": told, "slots_taken": taken}


def _told(told: bool | str, taken: int) -> Verdict:
    if told is True:
        return f"told yes, {_slots(taken)} taken", taken == 1
    no = "told no" if told is False else f"raises {told}"
    return f"{no}, {_slots(taken)} taken", taken == 0


def _slots(count: int) -> str:
    return f"{count} slot{'' if count == 1 else 's'}"


def late_zombie(stage: Stage) -> tuple[Verdict, Observed]:
    """A holder stands still beyond its lease, goes on and releases late; then a third one asks.

    Where there is no lease, the second caller gets in by what the library offers to somebody who
    takes the first one for dead.
    """
    stage.set(limit=1)
    with (
        stage.caller(LEASE_SECONDS) as a,
        stage.caller(LEASE_SECONDS) as b,
        stage.caller(LEASE_SECONDS) as c,
    ):
        a.acquire("a")
        a.stop()
        beside = b.acquire("b", PATIENCE_SECONDS)
        second = beside or (b.free("a") and b.acquire("b"))
        a.go_on()
        a.release("a")
        kept = stage.taken() == 1
        third = c.acquire("c")
    too_many = beside is True or (second is True and third is True)
    first = "lets in another beside the living holder" if beside else "lets in nobody beside it"
    late = f"its late release {'leaves' if kept else 'deletes'} the newer holder's record"
    if not second:
        late = "has no way to replace it"
    elif third:
        late += ", and a third gets in"
    observed: Observed = {
        "let_in_beside": beside,
        "second_in": second,
        "record_kept": kept,
        "third_in": third,
    }
    return (f"{first}; {late}", not too_many), observed


def crash_of_the_holder(stage: Stage) -> tuple[Verdict, Observed]:
    """The holder is killed; another one waits for its slot."""
    stage.set(limit=1)
    with stage.caller(LEASE_SECONDS) as a, stage.caller(LEASE_SECONDS) as b:
        a.acquire("a")
        a.kill()
        began = time.monotonic()
        alone = b.acquire("b", PATIENCE_SECONDS)
        waited = round(time.monotonic() - began, 1)
        freed = alone or b.free("a")
        told = alone or b.acquire("b")
    observed: Observed = {"free_by_itself": alone, "freed": freed, "second_in": told}
    if alone:
        outcome = f"free by its lease of {LEASE_SECONDS} s after {waited} s"
    elif told is True:
        outcome = "free as soon as somebody who knows frees it by name, not before"
    else:
        outcome = f"taken for all {PATIENCE_SECONDS:g} s of the trial, and no call frees it"
    return (outcome, told is True), observed


def rush(stage: Stage) -> tuple[Verdict, Observed]:
    """16 threads ask for one slot (and for 3 where it counts slots) and keep it for 10 ms."""
    most = {limit: _most_at_once(stage, limit) for limit in _limits(stage.contender)}
    words = ", ".join(f"{n} in at once at limit {limit}" for limit, n in most.items())
    kept = all(n <= limit for limit, n in most.items())
    return (words, kept), {f"most_at_limit_{limit}": n for limit, n in most.items()}


def _limits(contender: type[Contender]) -> list[int]:
    return [1, 3] if contender.counts_slots else [1]


def _most_at_once(stage: Stage, limit: int) -> int:
    stage.set(limit)
    return Course([stage.thread_caller() for _ in range(16)]).trial(seconds=3.0)


FAULTS: Final[dict[str, Callable[[Stage], tuple[Verdict, Any]]]] = {
    "the answer to an acquire is lost": lost_answer,
    "the same caller asks again": retry_by_the_same_caller,
    "a holder stands still, then releases late": late_zombie,
    "the holder is killed": crash_of_the_holder,
    "16 threads at once": rush,
}


def observe(contender: type[Contender], client: DynamoDBClient, wire: Wire) -> Iterator[Cell]:
    """Puts one contender through all faults."""
    stage = Stage(contender, client, wire)
    for fault, run in FAULTS.items():
        (outcome, kept), observed = run(stage)
        yield Cell(
            fault=fault, contender=contender.name, outcome=outcome, kept=kept, observed=observed
        )
