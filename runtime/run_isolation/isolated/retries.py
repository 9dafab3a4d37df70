"""Repeating a launch until there is a task or the time is up: as ECS's answers say."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tenacity import (
    RetryCallState,
    Retrying,
    stop_before_delay,
    wait_random_exponential,
)

from run_isolation.errors import LaunchFailedError, Retry

LONGEST_PAUSE_SECONDS: Final = 20

SETTLING_SECONDS: Final = 15.0
"""New policies, roles and revisions are in force some seconds after they are made: "changes ... may
take time to be visible everywhere"
(https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency);
"the Amazon ECS API follows an eventual consistency model"
(https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html)."""

_log: Final = logging.getLogger(__name__)


@dataclass
class Outcome:
    """What came of a launch."""

    attempt: int
    """The one in charge: the task's, or the next one's where there is no task."""
    task_arn: str | None = None
    """None where the time was up: the launch is to be repeated later."""
    troubles: list[LaunchFailedError] = field(default_factory=list)
    """Each answer without a task, in order."""

    def told(self) -> str:
        """The first answer without a task, and the last, as sentences."""
        first, last = self.troubles[0], self.troubles[-1]
        if first.answer == last.answer:
            return f"{first.meaning.says} The answer: {first.answer} {last.meaning.mend}"
        return (
            f"{first.meaning.says} The first answer, to attempt {first.attempt}: {first.answer} "
            f"The last, to attempt {last.attempt}: {last.answer} {last.meaning.mend}"
        )


def repeat(
    attempt: int,
    launch: Callable[[int], str],
    store: Callable[[int], None],
    *,
    seconds: float,
    sleep: Callable[[float], None],
) -> Outcome:
    """Launches, and repeats it as long as that may help and there is time.

    What is refused because a change has not reached all of AWS yet is repeated for some seconds.

    A new attempt is stored as soon as it is known to be needed, so that whoever repeats the stored
    attempt later does not get the old failure again. Pauses have full jitter: launches that were
    turned away together don't come back together
    (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).

    Args:
        attempt: The first to make; already stored.
        launch: Makes an attempt. Returns its task's ARN.
        store: Stores the attempt that is in charge from now on.
        seconds: When no repetition begins any more; 0 for a single call.
        sleep: Waits for so many seconds.

    Raises:
        LaunchError: It can't be launched; repeating won't help.
    """
    outcome = Outcome(attempt)

    def once() -> None:
        try:
            outcome.task_arn = launch(outcome.attempt)
        except LaunchFailedError as error:
            outcome.troubles.append(error)
            _log.debug("%s What may follow: %s.", error, error.retry)
            if error.retry is Retry.NEW_ATTEMPT:
                outcome.attempt += 1
                store(outcome.attempt)
            raise

    retrying = Retrying(
        retry=_MayHelp(),
        stop=stop_before_delay(seconds),
        wait=_pause,
        sleep=sleep,
        reraise=True,
    )
    try:
        retrying(once)
    except LaunchFailedError as error:
        if not _may_be_repeated(error):
            raise
    return outcome


def _may_be_repeated(error: BaseException) -> bool:
    return isinstance(error, LaunchFailedError) and error.retry is not Retry.NEVER


@dataclass
class _MayHelp:
    """Whether a repetition may; also where a change may not have reached all of AWS yet."""

    refused_at: float | None = None
    """When AWS said so first: seconds of pauses before it."""

    def __call__(self, state: RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome else None
        if not isinstance(error, LaunchFailedError) or not error.meaning.settles:
            return error is not None and _may_be_repeated(error)
        if self.refused_at is None:
            self.refused_at = state.idle_for
        return state.idle_for - self.refused_at < SETTLING_SECONDS


def _pause(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, LaunchFailedError)  # noqa: S101  # no other is repeated
    first = error.meaning.pause_seconds
    return wait_random_exponential(multiplier=first, max=LONGEST_PAUSE_SECONDS)(state)
