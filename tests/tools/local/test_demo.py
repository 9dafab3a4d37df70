"""Launching waits for its turn."""

from __future__ import annotations

import boto3
import pytest

from run_isolation.slot_item import Holder
from run_isolation.slots import Slots
from tools.local import demo
from tools.local.demo import wait_for_free_slots
from tools.local.errors import StepError

HELD = (Holder("an-earlier-run", 1, "research"),)


class ScriptedSlots(Slots):
    """Gives these answers, the last one for ever."""

    def __init__(self, *answers: tuple[Holder, ...]) -> None:
        super().__init__(boto3.client("dynamodb", region_name="us-east-1"), "slots")
        self.answers = list(answers)

    def holders(self) -> tuple[Holder, ...]:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def test_waits_until_nobody_holds_a_slot_and_says_for_whom() -> None:
    shown: list[str] = []
    slots = ScriptedSlots(HELD, HELD, ())
    wait_for_free_slots(slots, shown.append)
    assert slots.answers == [()]
    assert shown == ["an earlier run holds the slot: an-earlier-run of research"] * 2


def test_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "SLOT_PATIENCE", 0.1)
    with pytest.raises(StepError, match="held the slot: an-earlier-run of research"):
        wait_for_free_slots(ScriptedSlots(HELD), lambda now: None)
