"""The plan of a rolling update, as a table."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from localaws.ecs.plan import plan


@dataclass(frozen=True)
class Fake:
    name: str
    ready: bool = True
    stopping: bool = False
    protected: bool = False


def ready(name: str) -> Fake:
    return Fake(name)


def starting(name: str) -> Fake:
    return Fake(name, ready=False)


def ending(name: str) -> Fake:
    return Fake(name, ready=False, stopping=True)


# desired, most, least ready, tasks of the newest deployment, older tasks -> start, stop
PLANS: dict[str, tuple[int, int, int, list[Fake], list[Fake], int, set[str]]] = {
    "first start": (2, 4, 2, [], [], 2, set()),
    "nothing to do": (1, 2, 1, [ready("a")], [], 0, set()),
    "a dead task is replaced": (1, 2, 1, [ending("a")], [], 1, set()),
    "new beside old": (1, 2, 1, [], [ready("a")], 1, set()),
    "old stays until new is ready": (1, 2, 1, [starting("b")], [ready("a")], 0, set()),
    "old goes once new is ready": (1, 2, 1, [ready("b")], [ready("a")], 0, {"a"}),
    "old that is not ready goes at once": (1, 2, 1, [], [starting("a")], 1, {"a"}),
    "0/100: old goes first": (1, 1, 0, [], [ready("a")], 0, {"a"}),
    "0/100: then new comes": (1, 1, 0, [], [ending("a")], 1, set()),
    "one by one": (3, 4, 3, [ready("d")], [ready("a"), ready("b"), ready("c")], 0, {"a"}),
    "scale in: newest first": (1, 2, 1, [ready("a"), ready("b")], [], 0, {"b"}),
    "scale in: not ready first": (1, 2, 1, [starting("a"), ready("b")], [], 0, {"a"}),
    "drain": (0, 0, 0, [ready("a")], [ready("b")], 0, {"a", "b"}),
    "protected old stays": (1, 2, 1, [ready("b")], [Fake("a", protected=True)], 0, set()),
    "protected is not scaled in": (0, 0, 0, [Fake("a", protected=True)], [], 0, set()),
}


@pytest.mark.parametrize("case", PLANS)
def test_plan(case: str) -> None:
    desired, most, least, new, old, start, stop = PLANS[case]
    step = plan(desired, most, least, new, old)
    assert step.start == start
    assert {task.name for task in step.stop} == stop
