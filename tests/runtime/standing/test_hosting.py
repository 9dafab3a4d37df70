"""A server starts each run once, only while it holds its slot, and gives the slot back."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pickle import PicklingError
from threading import Event

import pytest
from botocore.exceptions import BotoCoreError

from run_isolation import Holder, Slots
from run_isolation.errors import DrainingError, StartRefusedError, StartUnfinishedError
from run_isolation.server_identity import ServerIdentity
from run_isolation.standing.hosting import Hosting
from tests.runtime.network import ALWAYS, Network
from tests.runtime.tables import enable
from tests.waiting import eventually

SERVER = ServerIdentity("arn:task/1", "10.0.0.1:4000")
OTHER = ServerIdentity("arn:task/2", "10.0.0.2:4000")
RUN = "run-a"


class Starts:
    """What is started, when it may say its first word, and what is kept for it."""

    def __init__(self) -> None:
        self.count = 0
        self.kept = 0
        self.begun = Event()
        self.may_speak = Event()
        self.may_speak.set()
        self.room: str | None = None
        self.trouble: list[BaseException] = []

    def reserve(self) -> Callable[[], None]:
        if self.room is not None:
            raise StartRefusedError(self.room)
        self.kept += 1
        return self.give_back

    def give_back(self) -> None:
        self.kept -= 1

    def begin(self) -> Callable[[], str]:
        if self.trouble:
            raise self.trouble.pop()
        self.count += 1
        self.begun.set()
        return self.first_word

    def first_word(self) -> str:
        self.may_speak.wait(timeout=10)
        return "started"

    def refuse(self, why: str) -> str:
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
    assert hosting.start(RUN, 1, starts) == "started"
    assert [holder.hosted_by for holder in slots.holders()] == [SERVER]


def test_a_repeated_call_waits_for_nobody_and_gets_the_answer_once_it_is_there(
    hosting: Hosting[str], starts: Starts
) -> None:
    starts.may_speak.clear()
    with ThreadPoolExecutor() as pool:
        call = pool.submit(hosting.start, RUN, 1, starts)
        starts.begun.wait(timeout=10)
        for _ in range(3):
            with pytest.raises(StartUnfinishedError, match="run-a is being started"):
                hosting.start(RUN, 1, starts)
        starts.may_speak.set()
        assert call.result() == "started"
    assert hosting.start(RUN, 1, starts) == "started"
    assert starts.count == 1


def test_a_process_that_says_nothing_is_waited_for_no_longer_than_the_caller_can(
    hosting: Hosting[str], starts: Starts
) -> None:
    starts.may_speak.clear()
    with pytest.raises(StartUnfinishedError):
        hosting.start(RUN, 1, starts, seconds=0.01)
    assert hosting.starting() == {RUN}
    starts.may_speak.set()
    eventually(lambda: not hosting.starting())
    assert hosting.start(RUN, 1, starts) == "started"
    assert starts.count == 1


def test_the_end_of_the_server_lets_no_call_wait(hosting: Hosting[str], starts: Starts) -> None:
    starts.may_speak.clear()
    with ThreadPoolExecutor() as pool:
        call = pool.submit(hosting.start, RUN, 1, starts)
        starts.begun.wait(timeout=10)
        hosting.close()
        with pytest.raises(StartUnfinishedError):
            call.result(timeout=10)
    starts.may_speak.set()


def test_a_run_that_is_being_started_is_known(hosting: Hosting[str], starts: Starts) -> None:
    starts.may_speak.clear()
    with ThreadPoolExecutor() as pool:
        call = pool.submit(hosting.start, RUN, 1, starts)
        starts.begun.wait(timeout=10)
        assert hosting.starting() == {RUN}
        starts.may_speak.set()
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
    assert hosting.start(RUN, 1, starts) == "It no longer holds its slot."
    assert starts.count == 0


def test_a_run_that_the_server_has_no_room_for_is_refused_before_its_slot_is_signed(
    hosting: Hosting[str], slots: Slots, starts: Starts
) -> None:
    starts.room = "No room."
    for _ in range(2):
        assert hosting.start(RUN, 1, starts) == "No room."
    assert starts.count == 0
    assert [holder.hosted_by for holder in slots.holders()] == [None]


def test_without_an_answer_of_the_table_nothing_is_started_and_no_room_is_kept(
    hosting: Hosting[str], network: Network, starts: Starts
) -> None:
    network.lose_requests("UpdateItem", ALWAYS)
    answer = hosting.start(RUN, 1, starts)
    assert answer.startswith("Whether it holds its slot is not known. dynamodb:UpdateItem")
    assert (starts.count, starts.kept) == (0, 0)


@pytest.mark.parametrize(
    "trouble",
    [
        OSError(28, "No space left on device"),
        EOFError("It ended without an answer."),
        MemoryError(),
        RuntimeError("can't start new thread"),
        PicklingError("a lock"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_start_that_fails_is_a_refusal_and_leaves_nothing(
    hosting: Hosting[str], slots: Slots, starts: Starts, trouble: BaseException
) -> None:
    starts.trouble = [trouble]
    answer = hosting.start(RUN, 1, starts)
    assert answer == (f"Its process could not be started: {type(trouble).__name__}: {trouble}")
    assert starts.kept == 0
    assert hosting.starting() == frozenset()
    # As nobody has a process of it the slot is nobody's.
    eventually(lambda: slots.holders() == ())


def test_after_a_start_that_failed_a_later_call_tries_anew(
    hosting: Hosting[str], slots: Slots, starts: Starts
) -> None:
    starts.trouble = [OSError("no processes left")]
    assert "no processes left" in hosting.start(RUN, 1, starts)
    eventually(lambda: slots.holders() == ())
    # Without the slot, as the run goes another way.
    assert hosting.start(RUN, 1, starts) == "It no longer holds its slot."
    slots.acquire(Holder(RUN, 1, "sales"))
    # Once the answer to the release has arrived here.
    eventually(lambda: hosting.start(RUN, 1, starts) == "started")
    assert (starts.count, starts.kept) == (1, 1)


def test_a_slot_that_is_on_its_way_back_starts_nothing(
    hosting: Hosting[str], network: Network, slots: Slots, starts: Starts
) -> None:
    """A process that was started meanwhile would go on without it."""
    may_go = Event()
    network.before("UpdateItem", 2, lambda: may_go.wait(timeout=10))
    starts.trouble = [OSError("no processes left")]
    assert "no processes left" in hosting.start(RUN, 1, starts)
    assert hosting.start(RUN, 1, starts) == "It no longer holds its slot."
    may_go.set()
    hosting.close()
    assert slots.holders() == ()
    assert (starts.count, starts.kept) == (0, 0)


def test_a_slot_of_which_nobody_knows_whether_it_came_back_starts_nothing(
    hosting: Hosting[str],
    network: Network,
    slots: Slots,
    starts: Starts,
    caplog: pytest.LogCaptureFixture,
) -> None:
    network.before("UpdateItem", 2, lambda: network.lose_requests("UpdateItem", ALWAYS))
    starts.trouble = [OSError("no processes left")]
    assert "no processes left" in hosting.start(RUN, 1, starts)
    eventually(lambda: "left to the reconciler" in caplog.text)
    network.recover()
    assert [holder.run_id for holder in slots.holders()] == [RUN], "the release is lost"
    assert hosting.start(RUN, 1, starts) == "It no longer holds its slot."
    assert (starts.count, starts.kept) == (0, 0)


def test_beside_a_process_of_an_older_attempt_no_room_is_kept(
    hosting: Hosting[str], slots: Slots, starts: Starts
) -> None:
    """What is kept for a run is known by its name: it would be the older one's no more."""
    hosting.start(RUN, 1, starts)
    slots.acquire(Holder(RUN, 2, "sales"))
    starts.room = "No room."
    assert hosting.start(RUN, 2, starts) == "An older attempt of it has a process here."
    assert (starts.count, starts.kept) == (1, 1)


def test_whatever_cannot_be_told_of_a_slot_is_a_refusal(
    slots: Slots, starts: Starts, caplog: pytest.LogCaptureFixture
) -> None:
    """A client that can't be made, say: botocore's errors are not ours."""

    def broken() -> Slots:
        raise BotoCoreError

    hosting: Hosting[str] = Hosting(SERVER, broken, logging.getLogger("test"))
    assert "could not be started: BotoCoreError" in hosting.start(RUN, 1, starts)
    assert starts.kept == 0


def test_a_slot_that_cannot_be_given_back_is_logged_whatever_the_error(
    slots: Slots, starts: Starts, caplog: pytest.LogCaptureFixture
) -> None:
    slots.acquire(Holder(RUN, 1, "sales"))
    given = [slots, slots]

    def once() -> Slots:
        if not given:
            raise BotoCoreError
        return given.pop()

    hosting: Hosting[str] = Hosting(SERVER, once, logging.getLogger("test"))
    hosting.start(RUN, 1, starts)
    hosting.ended(RUN)
    hosting.close()
    assert "Slot of run run-a is left to the reconciler" in caplog.text
    assert starts.kept == 0


def test_while_it_drains_only_what_it_has_started_is_answered(slots: Slots, starts: Starts) -> None:
    why: list[str] = []
    enable(slots.client, limit=2)
    for run in (RUN, "run-b"):
        slots.acquire(Holder(run, 1, "sales"))
    hosting: Hosting[str] = Hosting(
        SERVER, lambda: slots, logging.getLogger("test"), lambda: why[0] if why else None
    )
    hosting.start(RUN, 1, starts)
    why.append("Task 2 has taken its place.")
    assert hosting.start(RUN, 1, starts) == "started"
    with pytest.raises(DrainingError, match="Task 2 has taken its place"):
        hosting.start("run-b", 1, starts)
    assert hosting.starting() == frozenset()
    assert {holder.run_id: holder.hosted_by for holder in slots.holders()}["run-b"] is None
    # It serves again: the refusal was not for good.
    why.clear()
    assert hosting.start("run-b", 1, starts) == "started"
    assert starts.count == 2


def test_the_end_of_the_process_frees_the_slot_and_no_other(
    hosting: Hosting[str], slots: Slots, starts: Starts
) -> None:
    enable(slots.client, limit=2)
    slots.acquire(Holder("run-b", 1, "sales"))
    hosting.start(RUN, 1, starts)
    assert starts.kept == 1
    for _ in range(2):
        hosting.ended(RUN)
    hosting.ended("run-b")  # not started here
    hosting.close()
    assert starts.kept == 0
    assert [holder.run_id for holder in slots.holders()] == ["run-b"]


def test_the_end_of_an_older_attempt_leaves_the_newer_alone(
    hosting: Hosting[str], slots: Slots, starts: Starts
) -> None:
    hosting.start(RUN, 1, starts)
    slots.acquire(Holder(RUN, 2, "sales"))
    hosting.ended(RUN)
    hosting.close()
    assert [holder.attempt for holder in slots.holders()] == [2]
