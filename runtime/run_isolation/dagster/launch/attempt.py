"""Which attempt a launch makes: the one input of the launcher of isolated runs."""

from __future__ import annotations

from dataclasses import dataclass

from run_isolation.dagster.run_record import RunTags
from run_isolation.slots.decision import Kind


@dataclass(frozen=True)
class Attempt:
    """One attempt.

    Attributes:
        number: From 1. With the run's id it is the token of RunTask.
        stored: Whether it is on the run's record already; else it is stored before the call.
    """

    number: int
    stored: bool

    @classmethod
    def of_launch(cls, ours: RunTags) -> Attempt | None:
        """For a run that has not begun: the one on record, else the first of an isolated run.

        None where it has a task already: another process launched it at the same time, such as a
        daemon that is being replaced.
        """
        decided = _is_decided(ours)
        if decided and ours.task_arn is not None:
            return None
        return cls(ours.attempt if decided else ours.attempt + 1, stored=decided)

    @classmethod
    def of_resume(cls, ours: RunTags) -> Attempt:
        """For a run that has begun: the next one, unless the last launch has no task yet."""
        waits = _is_decided(ours) and ours.task_arn is None
        return cls(ours.attempt if waits else ours.attempt + 1, stored=waits)

    @classmethod
    def again(cls, ours: RunTags) -> Attempt:
        """The one on record, once more; the first where there is none."""
        return cls(max(ours.attempt, 1), stored=ours.attempt > 0)

    @classmethod
    def after_loss(cls, ours: RunTags) -> Attempt:
        """The next one: the task of the one on record died before the run began."""
        return cls(ours.attempt + 1, stored=False)


def _is_decided(ours: RunTags) -> bool:
    """Whether the record has an attempt of an isolated run: one after a non-isolated has none."""
    return ours.kind is Kind.ISOLATED and ours.attempt > 0
