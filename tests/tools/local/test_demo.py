"""Launching waits for its turn."""

from __future__ import annotations

import boto3
import pytest

from run_isolation.slots.item import Holder
from run_isolation.slots.slots import Slots
from tools.local import demo
from tools.local.code_server import Served
from tools.local.demo import DENIED, FIRST, repository, wait_for_free_slots, why_none
from tools.local.errors import StepError
from tools.local.standing import Standing

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
    with pytest.raises(StepError, match=r"held the slot for 0.1 s: an-earlier-run of research"):
        wait_for_free_slots(ScriptedSlots(HELD), lambda now: None)


JOBS = {"research": ["train_model", "backtest"], "sales": ["check_feed", "refresh_sales"]}


def standing(location: str, **repositories: list[str]) -> Standing:
    """A standing container with these jobs."""
    jobs = [job for names in repositories.values() for job in names]
    serves = Served(assets=[], jobs=jobs, sensors=[], schedules=[], repositories=repositories)
    return Standing(
        location=location,
        host="",
        address="",
        task="",
        task_definition="",
        cpu=256,
        memory=1024,
        log_group="",
        serves=serves,
    )


def test_a_job_is_launched_in_its_own_code_location() -> None:
    twins = [standing(name, one=jobs) for name, jobs in (*JOBS.items(), ("more", JOBS["sales"]))]
    assert why_none(twins) is None
    assert repository(twins, DENIED) == "one"


def test_a_job_in_two_repositories_is_ambiguous() -> None:
    both = standing("research", first=JOBS["research"], second=["train_model"])
    said = "research has the job train_model in the repositories first and second, so it is not"
    with pytest.raises(StepError, match=said):
        repository([both], FIRST)


def test_nothing_is_launched_where_a_code_location_or_a_job_is_missing() -> None:
    sales = standing("sales", one=JOBS["sales"])
    assert "no code location research" in str(why_none([sales]))
    research = standing("research", one=["train_model"])
    assert "research has no job backtest" in str(why_none([sales, research]))
