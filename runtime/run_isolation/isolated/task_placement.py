"""Where an attempt's task is placed: a function of the attempt, so that it is repeatable.

What is tried next follows from what may have failed before: Spot has less room than Fargate on
demand, and ECS manages capacity zone by zone
(https://repost.aws/knowledge-center/ecs-fargate-runtask-capacity).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Placement:
    """Where ECS may start a task."""

    as_asked: bool
    """By the capacity that was asked for, which may be Spot; otherwise on demand."""
    subnets: Sequence[str]


def place(attempt: int, subnets: Sequence[str]) -> Placement:
    """The placement of an attempt.

    The first is as asked, the second on demand, both in any subnet. From the third on it is on
    demand in one subnet at a time, in turn.

    Args:
        attempt: Counted from 1.
        subnets: All that the task may run in; best one or more in each of several zones.
    """
    if attempt > 2 and subnets:
        subnets = [subnets[(attempt - 3) % len(subnets)]]
    return Placement(as_asked=attempt == 1, subnets=list(subnets))
