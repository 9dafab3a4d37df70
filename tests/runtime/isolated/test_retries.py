"""Repeating a launch, against answers that are given one by one."""

from collections.abc import Iterable

import pytest

from run_isolation import LaunchFailedError, LaunchTagsError
from run_isolation.errors import Meaning
from run_isolation.isolated.retries import (
    LONGEST_PAUSE_SECONDS,
    SETTLING_SECONDS,
    Outcome,
    repeat,
)
from run_isolation.isolated.run_task_answers import (
    DENIED,
    NO_CAPACITY,
    QUOTA,
    REFUSED,
    THROTTLED,
    UNKNOWN,
    UNSETTLED,
)

TASK = "arn:task"


class Ecs:
    """Gives the answers in turn, and writes down what happens."""

    def __init__(self, answers: Iterable[Meaning | str | Exception]) -> None:
        self._answers = iter(answers)
        self.log: list[tuple[str, float]] = []

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

    def sleep(self, seconds: float) -> None:
        self.log.append(("sleep", seconds))

    def repeat(self, seconds: float = 1000) -> Outcome:
        return repeat(1, self.launch, self.store, seconds=seconds, sleep=self.sleep)

    def events(self) -> list[tuple[str, float]]:
        return [event for event in self.log if event[0] != "sleep"]

    def pauses(self) -> list[float]:
        return [seconds for what, seconds in self.log if what == "sleep"]


def test_one_call_in_the_good_case() -> None:
    ecs = Ecs([TASK])

    outcome = ecs.repeat()

    assert (outcome.task_arn, outcome.attempt, outcome.troubles) == (TASK, 1, [])
    assert ecs.log == [("launch", 1)]


@pytest.mark.parametrize("refusal", [DENIED, UNSETTLED])
def test_what_may_not_have_reached_all_of_aws_is_asked_again_for_some_seconds(
    refusal: Meaning,
) -> None:
    ecs = Ecs([refusal, refusal, TASK])
    assert (ecs.repeat().task_arn, ecs.events()) == (TASK, [("launch", 1)] * 3)

    ecs = Ecs([refusal] * 1000)
    with pytest.raises(LaunchFailedError):
        ecs.repeat()
    assert SETTLING_SECONDS <= sum(ecs.pauses()) < SETTLING_SECONDS + LONGEST_PAUSE_SECONDS

    ecs = Ecs([refusal])
    with pytest.raises(LaunchFailedError):
        ecs.repeat(seconds=0)


def test_a_refusal_has_its_seconds_from_the_first_one_on() -> None:
    """However long throttles have kept it before: these come to some two minutes."""
    ecs = Ecs([THROTTLED] * 16 + [DENIED, TASK])
    assert ecs.repeat().task_arn == TASK


def test_the_same_attempt_after_a_throttle_or_no_answer() -> None:
    ecs = Ecs([THROTTLED, UNKNOWN, TASK])

    assert ecs.repeat().attempt == 1
    assert ecs.events() == [("launch", 1)] * 3


def test_a_new_attempt_is_stored_before_anything_else() -> None:
    ecs = Ecs([NO_CAPACITY, THROTTLED, NO_CAPACITY, TASK])

    outcome = ecs.repeat()

    assert outcome.attempt == 3
    assert [what for what, _ in ecs.log][:3] == ["launch", "store", "sleep"]
    assert ecs.events() == [
        ("launch", 1),
        ("store", 2),
        ("launch", 2),
        ("launch", 2),
        ("store", 3),
        ("launch", 3),
    ]


def test_the_first_and_the_last_reason_are_kept() -> None:
    outcome = Ecs([NO_CAPACITY, QUOTA, THROTTLED, TASK]).repeat()

    told = outcome.told()
    assert told.startswith(f"{NO_CAPACITY.says} The first answer, to attempt 1: answer 1. ")
    assert f"The last, to attempt 3: answer {7}. {THROTTLED.mend}" in told
    same = Outcome(1, troubles=[LaunchFailedError("run-a", 1, "no.", NO_CAPACITY)] * 2)
    assert same.told() == f"{NO_CAPACITY.says} The answer: no. {NO_CAPACITY.mend}"


@pytest.mark.parametrize(
    "error", [LaunchTagsError("run-a", []), LaunchFailedError("run-a", 1, "no.", REFUSED)]
)
def test_what_is_final_is_raised_at_once(error: Exception) -> None:
    ecs = Ecs([THROTTLED, error])

    with pytest.raises(type(error)) as raised:
        ecs.repeat()

    assert raised.value is error
    assert ecs.events() == [("launch", 1)] * 2


def test_what_store_raises_ends_it() -> None:
    ecs = Ecs([NO_CAPACITY])

    def unwanted(attempt: int) -> None:
        raise KeyError(attempt)

    with pytest.raises(KeyError):
        repeat(1, ecs.launch, unwanted, seconds=1000, sleep=ecs.sleep)
    assert ecs.log == [("launch", 1)]


@pytest.mark.parametrize("meaning", [NO_CAPACITY, THROTTLED])
def test_no_time_is_one_call(meaning: Meaning) -> None:
    ecs = Ecs([meaning, TASK])

    outcome = ecs.repeat(seconds=0)

    assert outcome.task_arn is None
    # The new attempt is stored all the same: the old one would get the old answer.
    assert outcome.attempt == (2 if meaning is NO_CAPACITY else 1)
    assert ecs.events()[0] == ("launch", 1)
    assert [what for what, _ in ecs.log].count("launch") == 1
    assert ecs.pauses() == []


@pytest.mark.parametrize("meaning", [NO_CAPACITY, QUOTA, THROTTLED])
def test_pauses_have_full_jitter_and_double_up_to_the_longest(meaning: Meaning) -> None:
    rounds = []
    for _ in range(200):
        ecs = Ecs([meaning] * 8 + [TASK])
        ecs.repeat()
        rounds.append(ecs.pauses())

    for turn, pauses in enumerate(zip(*rounds, strict=True)):
        most = min(meaning.pause_seconds * 2**turn, LONGEST_PAUSE_SECONDS)
        assert max(pauses) <= most
        # Spread over all of it: 200 draws that leave a tenth out are one in a billion.
        assert min(pauses) < most / 10
        assert max(pauses) > most * 9 / 10
