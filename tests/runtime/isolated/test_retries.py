"""Launches that gave no task, against answers that are given one by one."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import count, pairwise

import pytest

from run_isolation import LaunchFailedError, LaunchTagsError
from run_isolation.isolated.retries import (
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    LOST_SECONDS,
    TELL_SECONDS,
    Outcome,
    Wait,
    ask,
)
from run_isolation.isolated.run_task_answers import (
    CONFLICT,
    DENIED,
    EMPTY,
    MALFORMED,
    NO_CAPACITY,
    NOT_TO_BE_FOUND,
    QUOTA,
    REFUSED,
    THROTTLED,
    UNKNOWN,
    UNSETTLED,
)
from run_isolation.passing_trouble import SETTLING_SECONDS
from run_isolation.retry import Meaning

TASK = "arn:task"


class Ecs:
    """Gives the answers in turn, and writes down what happens."""

    def __init__(self, answers: Iterable[Meaning | str | Exception]) -> None:
        self._answers = iter(answers)
        self.log: list[tuple[str, int]] = []

    def launch(self, attempt: int) -> str:
        self.log.append(("launch", attempt))
        answer = next(self._answers)
        if isinstance(answer, Meaning):
            raise LaunchFailedError("run-a", attempt, f"answer {len(self.log)}.", answer)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def store(self, attempt: int) -> None:
        self.log.append(("store", attempt))

    def ask(self, attempt: int = 1, seconds: float = 0.0) -> Outcome:
        """A launch, each call of which takes so many seconds."""
        times = count(step=seconds)
        return ask(attempt, self.launch, self.store, lambda: next(times))


def test_one_call_in_the_good_case() -> None:
    ecs = Ecs([TASK])

    outcome = ecs.ask()

    assert (outcome.task_arn, outcome.attempt, outcome.troubles) == (TASK, 1, [])
    assert ecs.log == [("launch", 1)]


@pytest.mark.parametrize("meaning", [THROTTLED, DENIED, UNSETTLED, NOT_TO_BE_FOUND])
@pytest.mark.parametrize("attempt", [1, 4])
def test_the_same_attempt_is_left_to_later(meaning: Meaning, attempt: int) -> None:
    ecs = Ecs([meaning])

    outcome = ecs.ask(attempt)

    assert (outcome.task_arn, outcome.attempt) == (None, attempt)
    assert ecs.log == [("launch", attempt)]


@pytest.mark.parametrize("meaning", [NO_CAPACITY, EMPTY, CONFLICT])
def test_the_second_attempt_follows_the_first_at_once_since_it_goes_elsewhere(
    meaning: Meaning,
) -> None:
    ecs = Ecs([meaning, TASK])
    assert ecs.ask().task_arn == TASK
    assert ecs.log == [("launch", 1), ("store", 2), ("launch", 2)]

    ecs = Ecs([meaning, meaning])
    assert (ecs.ask().task_arn, ecs.log[-1]) == (None, ("launch", 2))

    ecs = Ecs([meaning])
    outcome = ecs.ask(attempt=2)
    assert (outcome.attempt, ecs.log) == (3, [("launch", 2)])


@pytest.mark.parametrize("attempt", [1, 4])
def test_an_answer_that_is_lost_is_asked_for_once_more_at_once(attempt: int) -> None:
    ecs = Ecs([UNKNOWN, TASK])
    assert ecs.ask(attempt).task_arn == TASK
    assert ecs.log == [("launch", attempt)] * 2

    ecs = Ecs([UNKNOWN, UNKNOWN])
    assert ecs.ask(attempt).task_arn is None
    assert ecs.log == [("launch", attempt)] * 2


def test_a_long_silence_is_not_waited_for_again() -> None:
    ecs = Ecs([UNKNOWN])
    assert ecs.ask(seconds=LOST_SECONDS).task_arn is None
    assert ecs.log == [("launch", 1)]


def test_a_throttle_after_a_lost_answer_does_not_say_that_there_is_no_task() -> None:
    outcome = Ecs([UNKNOWN, THROTTLED]).ask()
    assert outcome.meaning == replace(THROTTLED, may_have_started=True)
    assert Wait.after(None, outcome.meaning, 0).in_doubt

    outcome = Ecs([UNKNOWN, NO_CAPACITY, THROTTLED]).ask()
    assert outcome.meaning == THROTTLED


def test_no_place_helps_where_the_quota_is_used_up() -> None:
    ecs = Ecs([QUOTA])

    assert ecs.ask().attempt == 2
    assert ecs.log == [("launch", 1)]


def test_the_first_and_the_last_reason_are_kept() -> None:
    outcome = Ecs([NO_CAPACITY, THROTTLED]).ask()

    told = outcome.told()
    assert told.startswith(f"{NO_CAPACITY.says} The first answer, to attempt 1: answer 1. ")
    assert f"The last, to attempt 2: answer 3. {THROTTLED.mend}" in told
    same = Outcome(1, troubles=[LaunchFailedError("run-a", 1, "no.", NO_CAPACITY)] * 2)
    assert same.told() == f"{NO_CAPACITY.says} The answer: no. {NO_CAPACITY.mend}"


@pytest.mark.parametrize(
    "error",
    [
        LaunchTagsError("run-a", []),
        LaunchFailedError("run-a", 1, "no.", REFUSED),
        LaunchFailedError("run-a", 1, "no.", MALFORMED),
    ],
)
def test_what_is_final_is_raised_at_once(error: Exception) -> None:
    with pytest.raises(type(error)) as raised:
        Ecs([error]).ask()

    assert raised.value is error


def test_what_store_raises_ends_it() -> None:
    ecs = Ecs([NO_CAPACITY])

    def unwanted(attempt: int) -> None:
        raise KeyError(attempt)

    with pytest.raises(KeyError):
        ask(1, ecs.launch, unwanted)
    assert ecs.log == [("launch", 1)]


def waits(meaning: Meaning, tries: int, share: float = 1.0) -> Iterator[tuple[float, Wait]]:
    """When each of so many tries in vain is made, and what is on the run after it."""
    now, wait = 1_000_000.0, None
    for _ in range(tries):
        wait = Wait.after(wait, meaning, now, draw=lambda low, high: low + (high - low) * share)
        yield now, wait
        now = wait.until


@pytest.mark.parametrize("meaning", [NO_CAPACITY, QUOTA, UNKNOWN, DENIED])
def test_pauses_grow_from_ten_seconds_to_two_minutes(meaning: Meaning) -> None:
    pauses = [wait.until - now for now, wait in waits(meaning, 7)]
    assert pauses == [10, 20, 40, 80, 120, 120, 120]
    shortest = [wait.until - now for now, wait in waits(meaning, 7, share=0.0)]
    assert shortest == [8, 16, 32, 64, 96, 96, 96]


def test_a_throttle_passes_within_seconds() -> None:
    assert [wait.until - now for now, wait in waits(THROTTLED, 5)] == [10] * 5


def test_pauses_never_grow_beyond_what_a_number_holds() -> None:
    wait = Wait(since=0, until=0, tries=100_000)
    assert Wait.after(wait, QUOTA, 0).until <= LONGEST_PAUSE_SECONDS


def test_pauses_differ_from_run_to_run() -> None:
    until = {Wait.after(None, QUOTA, 0).until for _ in range(100)}
    assert len(until) > 90
    assert min(until) >= FIRST_PAUSE_SECONDS * 0.8
    assert max(until) <= FIRST_PAUSE_SECONDS


def test_an_event_at_once_and_then_one_a_minute_at_most() -> None:
    told = [now for now, wait in waits(NO_CAPACITY, 50) if wait.is_told(now)]
    assert told[0] == 1_000_000.0
    between = [later - earlier for earlier, later in pairwise(told)]
    assert min(between) >= TELL_SECONDS
    assert len(told) > 40


@pytest.mark.parametrize("refusal", [DENIED, UNSETTLED, NOT_TO_BE_FOUND])
def test_a_refusal_stands_when_it_has_had_its_time_to_settle(refusal: Meaning) -> None:
    [*_, (first, wait)] = waits(refusal, 1)
    assert not wait.is_final(refusal, first + SETTLING_SECONDS - 1)
    assert wait.is_final(refusal, first + SETTLING_SECONDS)
    assert not wait.is_final(THROTTLED, first + SETTLING_SECONDS)
    # Throttles before the first refusal take nothing of its time, and one after it gives no more.
    late = Wait.after(Wait.after(None, THROTTLED, 0), refusal, 100)
    assert not late.is_final(refusal, SETTLING_SECONDS)
    throttled = Wait.after(late, THROTTLED, 150)
    assert throttled.is_final(refusal, 100 + SETTLING_SECONDS)
    # One that has settled says nothing about a refusal hours later.
    settled = Wait.after(late, NO_CAPACITY, 150)
    assert not settled.is_final(refusal, 10_000)
    again = Wait.after(settled, refusal, 10_000)
    assert not again.is_final(refusal, 10_000 + SETTLING_SECONDS - 1)


def test_a_task_may_be_there_until_ecs_says_that_the_attempt_has_left_none() -> None:
    def after(*meanings: Meaning) -> bool:
        wait = None
        for meaning in meanings:
            wait = Wait.after(wait, meaning, 0)
        return wait is not None and wait.in_doubt

    assert not after(THROTTLED)
    assert after(UNKNOWN)
    assert after(THROTTLED, UNKNOWN, THROTTLED, DENIED)
    assert not after(UNKNOWN, NO_CAPACITY)
    assert not after(UNKNOWN, NO_CAPACITY, THROTTLED)


def test_what_is_on_a_run_is_read_again() -> None:
    for wait in (Wait(0, 0), Wait(1.5, 2.5), Wait(1.5, 2.5, 3, 1.0, 0.5, in_doubt=True)):
        assert Wait.of_tag(wait.to_tag()) == wait
    assert Wait.of_tag('{"since": 1.5, "until": 2.5, "colour": "blue"}') == Wait(1.5, 2.5)


@pytest.mark.parametrize("value", ["", "{}", "soon", "[]", "7"])
def test_what_is_not_understood_is_nothing_to_wait_for(value: str) -> None:
    assert Wait.of_tag(value) is None


def test_it_is_time_when_the_clock_says_so_or_is_another_one() -> None:
    wait = Wait(since=1000, until=1010)
    assert [wait.is_over(now) for now in (1000, 1009.9, 1010)] == [False, False, True]
    assert wait.is_over(1010 - LONGEST_PAUSE_SECONDS - 1)
