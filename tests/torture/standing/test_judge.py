"""What is judged: each thing that must never happen is told, and nothing else is."""

from __future__ import annotations

from dataclasses import replace

from tests.torture.standing.board import ISOLATED, Launched
from tests.torture.standing.conditions import BOMB, STORAGE, TEMPLATE, of_run
from tests.torture.standing.judge import Answer, Evidence, Sample
from tests.torture.standing.ledger import BEGAN, Entry
from tests.torture.standing.plan import Body

RUN = "the-run"
BODY = Body(seconds=1, end="finish", steps=False, automated=False)
NOTHING = Evidence({}, [], [], [], {}, {})


def launched(over_at: float | None = 5.0, *acts: tuple[float, str]) -> dict[str, Launched]:
    it = Launched(RUN, BODY, 0.0, answered_at=1.0, over_at=over_at, acts=list(acts))
    return {RUN: it}


def samples(seconds: int, *, holds: bool, lives: bool) -> list[Sample]:
    """One each second from the second one on, when the launch is over."""
    held, alive = {RUN} if holds else (), {RUN} if lives else ()
    return [Sample(2.0 + at, held or (), alive or (), alive or (), 0) for at in range(seconds)]


def began(times: int = 1) -> list[Entry]:
    return [Entry(BEGAN, RUN, 7, 6, 1.0)] * times


def test_code_or_a_start_that_there_was_twice() -> None:
    assert not list(replace(NOTHING, entries=began(), starts={RUN: 1}).executed_twice())
    assert list(replace(NOTHING, entries=began(2)).executed_twice()) == [RUN]
    assert list(replace(NOTHING, starts={RUN: 2}).executed_twice()) == [RUN]


def test_a_run_that_was_executed_here_and_sent_elsewhere() -> None:
    sent = launched()
    sent[RUN].end = ISOLATED
    assert not list(replace(NOTHING, launched=sent).executed_twice())
    again = f"{RUN} here, and it was isolated"
    assert list(replace(NOTHING, launched=sent, entries=began()).executed_twice()) == [again]
    assert list(replace(NOTHING, launched=sent, starts={RUN: 1}).executed_twice()) == [again]


def test_a_process_without_a_slot() -> None:
    seen = replace(NOTHING, samples=samples(3, holds=False, lives=True))
    assert not list(seen.without_slot())
    seen = replace(NOTHING, samples=samples(5, holds=False, lives=True))
    assert list(seen.without_slot()) == [f"{RUN} for 4.0 s"]


def test_a_slot_without_a_process() -> None:
    empty = samples(50, holds=True, lives=False)
    seen = replace(NOTHING, launched=launched(), entries=began(), samples=empty)
    assert list(seen.empty_slots()) == [f"{RUN} for 49.0 s"]
    for name in (STORAGE, TEMPLATE, of_run(RUN)):
        assert not list(replace(seen, held={name: [(10.0, 20.0)]}).empty_slots())
    # Its process may be one whose code has not begun.
    beginning = [replace(one, unknown_keepers=1) for one in empty]
    assert not list(replace(seen, samples=beginning, entries=[]).empty_slots())


def test_a_process_that_lives_on_after_its_run() -> None:
    alive = samples(60, holds=True, lives=True)
    seen = replace(NOTHING, launched=launched(5.0, (5.0, "deleted")), samples=alive)
    assert list(seen.lingering()) == [f"{RUN} for 56.0 s"]
    assert not list(replace(seen, launched=launched(5.0, (5.0, "canceled"))).lingering())
    assert not list(replace(seen, held={STORAGE: [(6.0, 26.0)]}).lingering())


def test_a_run_that_is_not_over() -> None:
    assert not list(replace(NOTHING, launched=launched(100.0)).never_over())
    assert list(replace(NOTHING, launched=launched(None)).never_over()) == [RUN]
    assert list(replace(NOTHING, launched=launched(200.0)).never_over()) == [f"{RUN} after 200 s"]


def test_a_late_or_bad_answer() -> None:
    seen = replace(NOTHING, answers=[Answer(1.0, 1.5, healthy=True, load=0.1)])
    assert list(seen.late_health()) == ["1.5 s at 1.0"]
    assert not list(replace(seen, held={BOMB: [(0.0, 2.0)]}).late_health())
    bad = replace(NOTHING, answers=[Answer(1.0, 0.1, healthy=False, load=0.1)])
    assert list(bad.late_health()) == ["0.1 s at 1.0, a bad one"]
