"""The next step of a service towards what it wants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


class Schedulable(Protocol):
    """What the plan needs to know of a task."""

    @property
    def stopping(self) -> bool:
        """Whether it has been told to stop."""

    @property
    def ready(self) -> bool:
        """Whether it does its work."""

    @property
    def protected(self) -> bool:
        """Whether it must be let run."""


T = TypeVar("T", bound=Schedulable)


@dataclass(frozen=True)
class Step(Generic[T]):
    """What to do next: how many tasks to start, and which to stop."""

    start: int
    stop: Sequence[T]


def plan(desired: int, most: int, least_ready: int, new: Sequence[T], old: Sequence[T]) -> Step[T]:
    """Return the next step of a rolling update.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-type-ecs.html

    Args:
        desired: How many tasks the service wants.
        most: How many tasks may be there at once.
        least_ready: How many must stay ready.
        new: The tasks of the newest deployment, oldest first.
        old: All others.
    """
    new = [task for task in new if not task.stopping]
    old = [task for task in old if not task.stopping]
    start = max(0, min(desired - len(new), most - len(new) - len(old)))
    surplus = max(0, len(new) - desired)
    # Of the surplus, those not ready go first, and then the newest.
    newest_first = [task for task in reversed(new) if not task.protected]
    stop = sorted(newest_first, key=lambda task: task.ready)[:surplus]
    ready = sum(task.ready for task in [*new, *old] if task not in stop)
    for task in old:
        if task.protected:
            continue
        if not task.ready:
            stop.append(task)
        elif ready > least_ready:
            stop.append(task)
            ready -= 1
    return Step(start, stop)
