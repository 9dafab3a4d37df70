"""A server starts each run once, only while it holds its slot, and gives the slot back."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from run_isolation import Holder, Slots
from run_isolation.errors import DrainingError
from run_isolation.server_identity import ServerIdentity
from run_isolation.standing.hosting import Hosting
from tests.runtime.network import ALWAYS, Network
from tests.runtime.tables import enable

SERVER = ServerIdentity("arn:task/1", "10.0.0.1:4000")
OTHER = ServerIdentity("arn:task/2", "10.0.0.2:4000")
RUN = "run-a"


class Starts:
    """What is started, and when it may."""

    def __init__(self) -> None:
        self.count = 0
        self.begun = Event()
        self.may_end = Event()
        self.may_end.set()

    def __call__(self) -> str:
        self.count += 1
        self.begun.set()
        self.may_end.wait(timeout=10)
        return "started"


def refused(why: str) -> str:
    return why


@pytest.fixture
def starts() -> Starts:
    return Starts()


@pytest.fixture
def hosting(slots: Slots) -> Hosting[str]:
    slots.acquire(Holder(RUN, 1, "sales"))
    return Hosting(SERVER, lambda: slots, logging.getLogger("test"))


def test_a_holder_is_started_and_its_entry_says_where(
    hosting: Hosting[str], slots: Slots, starts: Starts
) -> None:
    assert hosting.start(RUN, 1, starts, refused) == "started"
    assert [holder.hosted_by for holder in slots.holders()] == [SERVER]


def test_calls_at_once_and_later_start_it_once(hosting: Hosting[str], starts: Starts) -> None:
    starts.may_end.clear()
    with ThreadPoolExecutor() as pool:
        calls = [pool.submit(hosting.start, RUN, 1, starts, refused) for _ in range(3)]
        starts.begun.wait(timeout=10)
        starts.may_end.set()
        assert [call.result() for call in calls] == ["started"] * 3
    assert hosting.start(RUN, 1, starts, refused) == "started"
    assert starts.count == 1


def test_a_run_that_is_being_started_is_known(hosting: Hosting[str], starts: Starts) -> None:
    starts.may_end.clear()
    with ThreadPoolExecutor() as pool:
        call = pool.submit(hosting.start, RUN, 1, starts, refused)
        starts.begun.wait(timeout=10)
        assert hosting.starting() == {RUN}
        starts.may_end.set()
        call.result()
    assert hosting.starting() == frozenset()


@pytest.mark.parametrize("why", ["released", "hosted elsewhere", "a newer attempt's"])
def test_without_its_slot_nothing_is_started(
    hosting: Hosting[str], slots: Slots, starts: Starts, why: str
) -> None:
    if why == "released":
        slots.release(RUN, 1)
    elif why == "hosted elsewhere":
        slots.host(RUN, 1, OTHER)
    else:
        slots.acquire(Holder(RUN, 2, "sales"))
    assert hosting.start(RUN, 1, starts, refused) == "It no longer holds its slot."
    assert starts.count == 0


def test_a_run_that_the_server_has_no_room_for_is_refused_before_its_slot_is_signed(
    hosting: Hosting[str], slots: Slots, starts: Starts
) -> None:
    for _ in range(2):
        assert hosting.start(RUN, 1, starts, refused, lambda: "No room.") == "No room."
    assert starts.count == 0
    assert [holder.hosted_by for holder in slots.holders()] == [None]


def test_without_an_answer_of_the_table_nothing_is_started(
    hosting: Hosting[str], network: Network, starts: Starts
) -> None:
    network.lose_requests("UpdateItem", ALWAYS)
    answer = hosting.start(RUN, 1, starts, refused)
    assert answer.startswith("Whether it holds its slot is not known. dynamodb:UpdateItem")
    assert starts.count == 0


def test_a_start_that_fails_fails_for_every_caller(hosting: Hosting[str]) -> None:
    def broken() -> str:
        raise OSError("no processes left")

    for _ in range(2):
        with pytest.raises(OSError, match="no processes left"):
            hosting.start(RUN, 1, broken, refused)
    assert hosting.starting() == frozenset()


def test_while_it_drains_only_what_it_has_started_is_answered(slots: Slots, starts: Starts) -> None:
    why: list[str] = []
    enable(slots.client, limit=2)
    for run in (RUN, "run-b"):
        slots.acquire(Holder(run, 1, "sales"))
    hosting: Hosting[str] = Hosting(
        SERVER, lambda: slots, logging.getLogger("test"), lambda: why[0] if why else None
    )
    hosting.start(RUN, 1, starts, refused)
    why.append("Task 2 has taken its place.")
    assert hosting.start(RUN, 1, starts, refused) == "started"
    with pytest.raises(DrainingError, match="Task 2 has taken its place"):
        hosting.start("run-b", 1, starts, refused)
    assert hosting.starting() == frozenset()
    assert {holder.run_id: holder.hosted_by for holder in slots.holders()}["run-b"] is None
    # It serves again: the refusal was not for good.
    why.clear()
    assert hosting.start("run-b", 1, starts, refused) == "started"
    assert starts.count == 2


def test_the_end_of_the_process_frees_the_slot_and_no_other(
    hosting: Hosting[str], slots: Slots, starts: Starts
) -> None:
    enable(slots.client, limit=2)
    slots.acquire(Holder("run-b", 1, "sales"))
    hosting.start(RUN, 1, starts, refused)
    hosting.ended(RUN)
    hosting.ended("run-b")  # not started here
    hosting.close()
    assert [holder.run_id for holder in slots.holders()] == ["run-b"]


def test_the_end_of_an_older_attempt_leaves_the_newer_alone(
    hosting: Hosting[str], slots: Slots, starts: Starts
) -> None:
    hosting.start(RUN, 1, starts, refused)
    slots.acquire(Holder(RUN, 2, "sales"))
    hosting.ended(RUN)
    hosting.close()
    assert [holder.attempt for holder in slots.holders()] == [2]
