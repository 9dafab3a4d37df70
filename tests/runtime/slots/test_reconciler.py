"""What a pass asks and whom; that it decides rightly is proved in tests/slots."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from threading import Event

import pytest

from run_isolation import Holder, Slots
from run_isolation.server_identity import ServerIdentity
from run_isolation.slots.reconciler import Reconciler
from run_isolation.tasks import TaskState
from tests.runtime.tables import enable
from tests.waiting import PATIENCE_SECONDS

FIRST = ServerIdentity("arn:task/1", "10.0.0.1:4000")
SECOND = ServerIdentity("arn:task/2", "10.0.0.2:4000")


class Sources:
    """All runs are going on."""

    def __init__(self) -> None:
        self.asked: list[object] = []
        self.running = frozenset({"run-0", "run-1", "run-2"})

    def over(self, holders: Sequence[Holder]) -> Mapping[Holder, str]:
        self.asked.append(("storage", {holder.run_id for holder in holders}))
        return {}

    def current_runs(self, server: ServerIdentity) -> frozenset[str]:
        self.asked.append(server)
        return self.running

    def states(self, task_arns: Collection[str]) -> Mapping[str, TaskState]:
        self.asked.append(("ECS", set(task_arns)))
        return {arn: TaskState(arn, "RUNNING") for arn in task_arns}


@pytest.fixture
def sources() -> Sources:
    return Sources()


@pytest.fixture
def reconciler(slots: Slots, sources: Sources) -> Reconciler:
    enable(slots.client, limit=10)
    return Reconciler(slots, sources, sources, sources, logging.getLogger("test"))


def test_without_holders_nobody_is_asked(reconciler: Reconciler, sources: Sources) -> None:
    assert reconciler.reconcile() == []
    assert sources.asked == []


def test_all_holders_at_once(reconciler: Reconciler, sources: Sources, slots: Slots) -> None:
    for number in range(5):
        slots.acquire(Holder(f"run-{number}", 1, "sales"))
    for run, server in {"run-0": FIRST, "run-1": FIRST, "run-2": SECOND}.items():
        slots.host(run, 1, server)
    assert reconciler.reconcile() == []
    assert sources.asked == [
        ("storage", {"run-3", "run-4"}),
        ("ECS", {FIRST.task_arn, SECOND.task_arn}),
        *sources.asked[2:],
    ]
    assert set(sources.asked[2:]) == {FIRST, SECOND}


class Ends:
    """Whose processes are to be ended, if their runs are over."""

    def __init__(self) -> None:
        self.hosted: dict[ServerIdentity, Sequence[Holder]] = {}

    def ending(self, holders: Collection[Holder]) -> Collection[Holder]:
        return holders

    def end(self, hosted: Mapping[ServerIdentity, Sequence[Holder]]) -> None:
        self.hosted = dict(hosted)


def test_a_silent_server_keeps_no_others_processes_from_their_end(
    reconciler: Reconciler, sources: Sources, slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each question to it takes its time: there is one in a pass, beside those to others."""
    for number, server in enumerate((FIRST, SECOND)):
        slots.acquire(Holder(f"run-{number}", 1, "sales"))
        slots.host(f"run-{number}", 1, server)
    others_answer = Event()

    def answer(server: ServerIdentity) -> frozenset[str] | None:
        if server == FIRST:
            assert others_answer.wait(PATIENCE_SECONDS)
            return None
        others_answer.set()
        return sources.running

    monkeypatch.setattr(sources, "current_runs", answer)
    reconciler.ends = ends = Ends()
    assert reconciler.reconcile() == []
    assert {server: [one.run_id for one in theirs] for server, theirs in ends.hosted.items()} == {
        SECOND: ["run-1"]
    }


def test_each_removal_is_logged_with_its_reason(
    reconciler: Reconciler, sources: Sources, slots: Slots, caplog: pytest.LogCaptureFixture
) -> None:
    slots.acquire(Holder("run-a", 1, "sales"))
    slots.host("run-a", 1, FIRST)
    with caplog.at_level(logging.INFO):
        [removed] = reconciler.reconcile()
    assert removed.holder.run_id == "run-a"
    assert caplog.messages == [f"Slot of run run-a removed: {removed.why}."]
    assert removed.why == "the server of task arn:task/1 has no process of it"
