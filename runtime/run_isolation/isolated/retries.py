"""A launch that gave no task: whether it is made again, and when. Nobody waits for it.

What is to be done next is kept on the run, so that no thread of Dagster's sleeps meanwhile, and any
other process can go on with it.
"""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Final, Self

from run_isolation import passing_trouble
from run_isolation.errors import LaunchFailedError
from run_isolation.retry import Meaning, Retry

FIRST_PAUSE_SECONDS: Final = 10.0
LONGEST_PAUSE_SECONDS: Final = 120.0
"""A pause doubles from one to the other, but for what passes within seconds (``Meaning.soon``)."""

_JITTER: Final = 0.2
"""What a pause may be shorter by: runs that were turned away together don't come back together
(https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/)."""

TELL_SECONDS: Final = 60.0
"""At least so long between two events of a run that say that it still waits."""

LOST_SECONDS: Final = 0.5
"""An answer that is lost so soon, with its connection or by an error of AWS's own, is asked for
once more at once. A silence that took longer would hold up the thread for as long again."""

_AS_ASKED: Final = 1
"""The attempt that goes where the run asks (``task_placement``)."""

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wait:
    """What is on a run whose launch is to be made again.

    Times are seconds of the epoch, by the clock of whoever launched. They delay, and decide nothing
    else: another machine's clock makes the next try earlier or later.
    """

    since: float
    """When there was no task for the first time."""
    until: float
    """Nobody tries again before."""
    tries: int = 1
    told: float = 0.0
    """When an event said so the last time."""
    refused: float | None = None
    """When AWS first refused what may settle; None where it has not."""
    in_doubt: bool = False
    """Whether a call of this attempt may have started a task, whatever the last one was told."""

    @classmethod
    def after(
        cls,
        before: Wait | None,
        meaning: Meaning,
        now: float,
        draw: Callable[[float, float], float] = random.uniform,
    ) -> Self:
        """The next one, after one more try without a task.

        Args:
            before: The one until this try; None for the first.
            meaning: What the answer meant.
            now: Seconds of the epoch.
            draw: A number between two.
        """
        tries = before.tries + 1 if before else 1
        # Not 2 ** tries for as long as there is no capacity.
        doubled = 0 if meaning.soon else min(tries - 1, 10)
        pause = min(FIRST_PAUSE_SECONDS * 2.0**doubled, LONGEST_PAUSE_SECONDS)
        told = before.told if before and now - before.told < TELL_SECONDS else now
        # Whoever is told that there is no room was allowed to ask: a later refusal is another one.
        refused = before.refused if before and meaning.retry is not Retry.NEW_ATTEMPT else None
        return cls(
            since=before.since if before else now,
            until=now + pause * draw(1 - _JITTER, 1),
            tries=tries,
            told=told,
            refused=now if refused is None and meaning.settles else refused,
            in_doubt=meaning.may_have_started
            # Only of a new attempt it is known that the one before has left no task.
            or (before is not None and before.in_doubt and meaning.retry is not Retry.NEW_ATTEMPT),
        )

    @classmethod
    def of_tag(cls, value: str) -> Self | None:
        """As it stands on a run. What is not understood is no wait: it is tried at once.

        Fields that this version does not know are ignored.
        """
        if not value:
            return None
        try:
            said = json.loads(value)
            return cls(**{one.name: said[one.name] for one in fields(cls) if one.name in said})
        except (ValueError, TypeError):
            _log.warning("Not understood, so the launch is made now: %r", value)
            return None

    def to_tag(self) -> str:
        """As it stands on a run."""
        usual = {one.name: one.default for one in fields(self)}
        said = {name: value for name, value in asdict(self).items() if value != usual[name]}
        return json.dumps(said)

    def is_over(self, now: float) -> bool:
        """Whether it is time for the next try."""
        return now >= self.until or self.until - now > LONGEST_PAUSE_SECONDS

    def is_told(self, now: float) -> bool:
        """Whether it is this try that an event is to tell of."""
        return self.told == now

    def is_final(self, meaning: Meaning, now: float) -> bool:
        """Whether a refusal stands: what may settle has had its time."""
        if not meaning.settles or self.refused is None:
            return False
        return now - self.refused >= passing_trouble.SETTLING_SECONDS


@dataclass
class Outcome:
    """What came of a launch."""

    attempt: int
    """The one in charge: the task's, or the next one's where there is no task."""
    task_arn: str | None = None
    """None: the launch is to be made again later."""
    troubles: list[LaunchFailedError] = field(default_factory=list)
    """Each answer without a task, in order."""

    @property
    def meaning(self) -> Meaning:
        """Of the last answer; there may be a task, too, where one before it was lost."""
        in_doubt = False
        for trouble in self.troubles:
            left_none = trouble.retry is Retry.NEW_ATTEMPT
            in_doubt = trouble.meaning.may_have_started or (in_doubt and not left_none)
        return replace(self.troubles[-1].meaning, may_have_started=in_doubt)

    def told(self) -> str:
        """The first answer without a task, and the last, as sentences."""
        first, last = self.troubles[0], self.troubles[-1]
        if first.answer == last.answer:
            return f"{first.meaning.says} The answer: {first.answer} {last.meaning.mend}"
        return (
            f"{first.meaning.says} The first answer, to attempt {first.attempt}: {first.answer} "
            f"The last, to attempt {last.attempt}: {last.answer} {last.meaning.mend}"
        )


def ask(
    attempt: int,
    launch: Callable[[int], str],
    store: Callable[[int], None],
    clock: Callable[[], float] = time.monotonic,
) -> Outcome:
    """Makes a launch: one call, or two where the second may well succeed at once.

    A run's first attempt goes where the run or its code location asks, such as to Fargate Spot.
    Where there is no room for it, the second one follows at once, everywhere. Later ones wait. So
    do all where AWS turned the call away for its rate: the SDK's own pauses are no place to wait.

    Args:
        attempt: The one to make; already stored.
        launch: Makes an attempt. Returns its task's ARN.
        store: Stores the attempt that is made at once, before it is made: whoever repeats the
            stored attempt later does not get the old failure again.
        clock: Monotonic seconds.

    Raises:
        LaunchError: It can't be launched; repeating won't help.
    """
    outcome = Outcome(attempt)
    while outcome.task_arn is None:
        began = clock()
        try:
            outcome.task_arn = launch(outcome.attempt)
        except LaunchFailedError as error:
            _log.debug("%s What may follow: %s.", error, error.retry)
            if not error.meaning.may_pass:
                raise
            outcome.troubles.append(error)
            if error.retry is Retry.NEW_ATTEMPT:
                outcome.attempt += 1
            if not _follows_at_once(outcome, clock() - began):
                break
            if outcome.attempt != error.attempt:
                store(outcome.attempt)
    return outcome


def _follows_at_once(outcome: Outcome, seconds: float) -> bool:
    """Whether another call follows the last one, which took so many seconds."""
    *before, last = outcome.troubles
    if last.meaning.elsewhere:
        return last.attempt == _AS_ASKED
    lost_before = any(trouble.meaning.may_have_started for trouble in before)
    return last.meaning.may_have_started and seconds < LOST_SECONDS and not lost_before
