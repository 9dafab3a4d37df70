"""Judges what was observed, by when what was wrong: nothing here is measured."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from tests.code_server.health import LOAD_PER_CPU, LOADED_SECONDS
from tests.torture.standing import conditions
from tests.torture.standing.board import ISOLATED, Launched
from tests.torture.standing.conditions import Interval, Intervals, of_run, overlap
from tests.torture.standing.ledger import BEGAN, BOMB, CALM, Entry, Ledger

GRACE_SECONDS: Final = 2.0
"""So long a process may be seen alive without a slot: three samples. A slot is given back by who
has seen the end of the process, which is seen here by looking from time to time."""
EMPTY_SECONDS: Final = 30.0
"""So long a slot may have no process."""
LINGERING_SECONDS: Final = 35.0
"""So long a process may live on whose run somebody else has ended: 30, and what it takes a server
that shares a quarter of a CPU with runs, and samples, to show it."""
BOUND_SECONDS: Final = 150.0
"""So long a run may take beside its work until it is over: a canceled one that is deaf is killed
after 120."""
HEALTH_SECONDS: Final = 1.0
BOMB_HEALTH_SECONDS: Final = 10.0
SETTLED_SECONDS: Final = 12.0
"""So long after a cut what was late by it goes on being late: until the next pass of the daemon."""
_CUTS: Final = (conditions.TABLE, conditions.STORAGE, conditions.SERVER)


@dataclass(frozen=True)
class Sample:
    """What the observer saw at one moment."""

    at: float
    holders: Collection[str]
    alive: Collection[str]
    kept: Collection[str]
    unknown_keepers: int


@dataclass(frozen=True)
class Answer:
    """The server's to a health check."""

    at: float
    seconds: float
    healthy: bool
    load: float


@dataclass(frozen=True)
class Evidence:
    """All that is known of a torture."""

    launched: Mapping[str, Launched]
    samples: Sequence[Sample]
    answers: Sequence[Answer]
    entries: Sequence[Entry]
    held: Intervals
    """Conditions."""
    starts: Mapping[str, int]
    """How often storage has a run's start."""

    @classmethod
    def of(
        cls, directory: Path, launched: Mapping[str, Launched], starts: Mapping[str, int]
    ) -> Evidence:
        """Reads what observer and runs have left."""
        samples = [Sample(*line) for line in _lines(directory / "samples")]
        end = samples[-1].at if samples else 0.0
        held = conditions.read(directory / "conditions", end)
        answers = [Answer(*line) for line in _lines(directory / "health")]
        entries = Ledger(directory / "ledger").new()
        return cls(launched, samples, answers, entries, held, starts)

    @cached_property
    def cuts(self) -> list[Interval]:
        """When somebody could not be reached."""
        return self._any(*_CUTS)

    @cached_property
    def bombs(self) -> list[Interval]:
        """When there was no process to be had."""
        found = list(self.held.get(conditions.BOMB, ()))
        began = {one.run_id: one.at for one in self.entries if one.what == BOMB}
        calm = {one.run_id: one.at for one in self.entries if one.what == CALM}
        last = self.last_seen
        for run_id, at in began.items():
            found.append((at, calm.get(run_id, last.get(run_id, at)) + BOMB_HEALTH_SECONDS))
        return found

    @cached_property
    def last_seen(self) -> dict[str, float]:
        """When each run had a process for the last time."""
        return {run_id: sample.at for sample in self.samples for run_id in sample.alive}

    def _any(self, *names: str) -> list[Interval]:
        return [
            (begin, end + SETTLED_SECONDS)
            for name in names
            for begin, end in self.held.get(name, ())
        ]

    def uncut(self, begin: float, end: float, *more: str) -> float:
        """Seconds between two times in which nobody was cut off, and none of more held."""
        return end - begin - overlap(begin, end, [*self.cuts, *self._any(*more)])

    def executed_twice(self) -> Iterator[str]:
        """Runs whose code or whose start there was twice, or once and then again as isolated."""
        counts = Counter(entry.run_id for entry in self.entries if entry.what == BEGAN)
        yield from (run_id for run_id, count in counts.items() if count > 1)
        yield from (run_id for run_id, count in self.starts.items() if count > 1)
        for run_id, launched in self.launched.items():
            if launched.end == ISOLATED and (counts[run_id] or self.starts.get(run_id)):
                yield f"{run_id} here, and it was isolated"

    def without_slot(self) -> Iterator[str]:
        """Runs with a process and no slot, for longer than it takes to see."""
        stretches = _stretches(self.samples, lambda it: set(it.alive) - set(it.holders))
        for run_id, begin, end in stretches:
            if end - begin > GRACE_SECONDS:
                yield f"{run_id} for {end - begin:.1f} s"

    def empty_slots(self) -> Iterator[str]:
        """Slots without a process for too long."""
        stretches = _stretches(self.samples, self._empty)
        for run_id, begin, end in stretches:
            # A template that stands still makes a start wait for as long.
            seconds = self.uncut(begin, end, conditions.TEMPLATE, of_run(run_id))
            if seconds > EMPTY_SECONDS:
                yield f"{run_id} for {seconds:.1f} s"

    def _empty(self, sample: Sample) -> set[str]:
        busy = set(sample.kept) | set(sample.alive)
        return {
            run_id
            for run_id in set(sample.holders) - busy
            if not self._is_launching(run_id, sample.at)
            # It may be one of those whose code has not begun.
            and not (sample.unknown_keepers and run_id not in self._begun)
        }

    @cached_property
    def _begun(self) -> set[str]:
        return {entry.run_id for entry in self.entries}

    def _is_launching(self, run_id: str, at: float) -> bool:
        launched = self.launched.get(run_id)
        return launched is None or launched.answered_at is None or at <= launched.answered_at

    def lingering(self) -> Iterator[str]:
        """Processes that live on though somebody has ended their runs."""
        for run_id, launched in self.launched.items():
            ended = [at for at, what in launched.acts if what in ("deleted", "timed out")]
            seen = self.last_seen.get(run_id, 0.0)
            if ended and seen > ended[0]:
                seconds = self.uncut(ended[0], seen, conditions.BOMB)
                if seconds > LINGERING_SECONDS:
                    yield f"{run_id} for {seconds:.1f} s"

    def never_over(self) -> Iterator[str]:
        """Runs that were not over within their bound."""
        for run_id, launched in self.launched.items():
            if launched.over_at is None:
                yield run_id
                continue
            over = max(launched.over_at, self.last_seen.get(run_id, 0.0))
            took = self.uncut(launched.acquired_at, over, of_run(run_id))
            if took > launched.body.seconds + BOUND_SECONDS:
                yield f"{run_id} after {took:.0f} s"

    def late_health(self) -> Iterator[str]:
        """Answers to health checks that were late or bad."""
        for answer in self.answers:
            end = answer.at + answer.seconds
            bombed = overlap(answer.at - GRACE_SECONDS, end, self.bombs) > 0
            allowed = BOMB_HEALTH_SECONDS if bombed else HEALTH_SECONDS
            if answer.load > LOAD_PER_CPU:
                allowed = max(allowed, LOADED_SECONDS)
            if answer.seconds > allowed or not answer.healthy:
                words = "" if answer.healthy else ", a bad one"
                yield f"{answer.seconds:.1f} s at {answer.at:.1f}{words}"


def _stretches(samples: Sequence[Sample], of: Any) -> Iterator[tuple[str, float, float]]:
    """For how long each run is among those that are asked for, sample after sample."""
    since: dict[str, float] = {}
    last: defaultdict[str, float] = defaultdict(float)
    for sample in samples:
        found = of(sample)
        for run_id in list(since):
            if run_id not in found:
                yield run_id, since.pop(run_id), last[run_id]
        for run_id in found:
            since.setdefault(run_id, sample.at)
            last[run_id] = sample.at
    for run_id, begin in since.items():
        yield run_id, begin, last[run_id]


def _lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
