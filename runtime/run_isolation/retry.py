"""What may follow a launch that gave no task, and why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Retry(StrEnum):
    """What may follow a launch that gave no task."""

    SAME_ATTEMPT = "same attempt"
    """Send the same request again: ECS answers with the task if there is one already."""
    NEW_ATTEMPT = "new attempt"
    """Raise the attempt, and store it, before trying again: ECS would replay the old failure."""
    NEVER = "never"
    """Somebody has to mend something first."""


@dataclass(frozen=True)
class Meaning:
    """What an answer without a task means. Which answer means what: ``run_task_answers.py``."""

    says: str
    """As a sentence."""
    retry: Retry
    mend: str
    """What a person can do about it, as a sentence."""
    settles: bool = False
    """Whether it may be so only because a change has not reached all of AWS yet: then it is asked
    again for some time (``passing_trouble.SETTLING_SECONDS``), and not after that."""
    may_have_started: bool = False
    """Whether there may be a task all the same. Else the run can wait in Dagster's queue."""
    elsewhere: bool = False
    """Whether a new attempt may well succeed at once: it goes to another place."""
    soon: bool = False
    """Whether it passes within seconds, so that pauses need not grow."""

    @property
    def may_pass(self) -> bool:
        """Whether it is worth trying again, for some time at least."""
        return self.settles or self.retry is not Retry.NEVER
