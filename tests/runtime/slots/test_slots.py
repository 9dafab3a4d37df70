import socket
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from types_boto3_dynamodb import DynamoDBClient

from run_isolation import (
    Acquired,
    Denied,
    Disabled,
    Holder,
    NonIsolatedRuns,
    Slots,
    SupersededError,
    TableError,
    aws,
)
from run_isolation.errors import TableRefusedError, TableUnreachableError
from run_isolation.server_identity import ServerIdentity
from run_isolation.slots import conditions
from run_isolation.slots.item import KEY
from tests.runtime.network import ALWAYS, Network
from tests.runtime.tables import TABLE, configure, enable, up

A, B = Holder("run-a", 1, "sales"), Holder("run-b", 1, "research")
SERVER, OTHER = (
    ServerIdentity("arn:task/1", "10.0.0.1:4000"),
    ServerIdentity("arn:task/2", "10.0.0.2:4000"),
)


def test_limit_is_exact_and_a_denial_names_the_holders(slots: Slots) -> None:
    enable(slots.client, limit=3)
    runs = [Holder(f"run-{n}", 1, "sales", since=f"2026-01-01T00:00:0{n}+00:00") for n in range(5)]

    answers = [slots.acquire(run) for run in runs]

    assert answers[:3] == [Acquired(run) for run in runs[:3]]
    assert answers[3:] == [Denied(tuple(runs[:3]), limit=3)] * 2
    assert slots.holders() == tuple(runs[:3])
    assert [holder.since for holder in slots.holders()] == [run.since for run in runs[:3]]


def test_calls_that_an_acquire_a_denial_and_a_release_cost(slots: Slots, network: Network) -> None:
    def calls(action: Callable[[], object]) -> list[str]:
        network.sent.clear()
        action()
        return network.sent

    assert calls(lambda: slots.acquire(A)) == ["UpdateItem"]
    assert calls(lambda: slots.acquire(B)) == ["UpdateItem"]
    assert calls(lambda: slots.release(A.run_id, 1)) == ["UpdateItem"]


@pytest.fixture(params=[1, 2], ids=["before it wrote the settings", "after"])
def interrupted(request: pytest.FixtureRequest, slots: Slots) -> Slots:
    """`pulumi up` was interrupted in a change from one slot to two."""
    settings = NonIsolatedRuns(enabled=True, max_concurrent_non_isolated_runs=2)
    up(slots, settings, steps=request.param)
    return slots


def test_after_an_interrupted_up_the_settings_are_read(
    interrupted: Slots, network: Network
) -> None:
    limit = interrupted.settings().limit
    for n in range(limit):
        network.sent.clear()
        network.bodies.clear()
        assert isinstance(interrupted.acquire(Holder(f"run-{n}", 1, "sales")), Acquired)
        assert network.sent == ["UpdateItem", "GetItem", "UpdateItem"]
        assert b'"ConsistentRead": true' in network.bodies[1]

    assert interrupted.acquire(A) == Denied(interrupted.holders(), limit)


def test_after_an_interrupted_up_a_holder_is_still_one(interrupted: Slots) -> None:
    interrupted.acquire(A)

    assert interrupted.acquire(A) == Acquired(A)
    with pytest.raises(SupersededError):
        interrupted.acquire(Holder(A.run_id, 0, A.location))


def test_after_an_interrupted_up_tickets_that_were_left_behind_take_no_slot(
    interrupted: Slots,
) -> None:
    # Of an older release, which knows no tickets.
    old = replace(interrupted, location=None)
    for n in range(interrupted.settings().limit):
        old.acquire(Holder(f"run-{n}", 1, A.location))
        old.release(f"run-{n}", 1)

    assert interrupted.acquire(A) == Acquired(A)


def test_disabled_by_an_interrupted_up(slots: Slots) -> None:
    up(slots, NonIsolatedRuns(), steps=2)

    assert slots.acquire(A) == Disabled()


@pytest.mark.parametrize("when", [2, 3, 4])
def test_two_launchers_after_the_item_was_deleted(
    slots: Slots, network: Network, when: int
) -> None:
    slots.client.delete_item(TableName=TABLE, Key=KEY)
    other = Slots(aws.dynamodb(), TABLE)
    network.before("UpdateItem", when, lambda: other.acquire(B))

    assert slots.acquire(A) == Denied((B,), limit=1)
    assert slots.holders() == (B,)


def test_lost_answer_of_an_acquire(slots: Slots, network: Network) -> None:
    network.lose_answers("UpdateItem")

    assert slots.acquire(A) == Acquired(A)
    assert slots.acquire(B) == Denied((A,), limit=1)


def test_lost_request_of_an_acquire(slots: Slots, network: Network) -> None:
    network.lose_requests("UpdateItem")

    assert slots.acquire(A) == Acquired(A)


def test_asking_again_after_every_answer_was_lost(slots: Slots, network: Network) -> None:
    slots.acquire(B)
    slots.release(B.run_id, 1)
    network.lose_answers("UpdateItem", ALWAYS)
    with pytest.raises(TableUnreachableError, match="dynamodb:UpdateItem"):
        slots.acquire(A)
    network.recover()

    assert slots.holders() == (A,)  # it was applied, and nobody was told
    assert slots.acquire(A) == Acquired(A)
    assert slots.release(A.run_id, 1)


def test_lowered_limit_takes_nothing_away(slots: Slots) -> None:
    enable(slots.client, limit=2)
    slots.acquire(A)
    slots.acquire(B)

    enable(slots.client, limit=1)

    assert slots.acquire(A) == Acquired(A)
    assert slots.acquire(Holder("run-c", 1, "sales")) == Denied((A, B), limit=1)
    slots.release(A.run_id, 1)
    assert slots.acquire(Holder("run-c", 1, "sales")) == Denied((B,), limit=1)


def test_disabled(slots: Slots) -> None:
    slots.acquire(A)
    configure(slots.client, NonIsolatedRuns(enabled=False, max_concurrent_non_isolated_runs=9))

    assert slots.acquire(B) == Disabled()
    assert slots.acquire(A) == Acquired(A)  # it has been told so before
    assert slots.holders() == (A,)


def test_disabled_from_the_start(slots: Slots) -> None:
    configure(slots.client, NonIsolatedRuns())

    assert slots.acquire(A) == Disabled()
    assert slots.holders() == ()


def test_newer_attempt_takes_over_its_own_run_s_slot(slots: Slots) -> None:
    newer = Holder(A.run_id, 2, A.location)
    slots.acquire(A)

    assert slots.acquire(newer) == Acquired(newer)
    assert slots.holders() == (newer,)


def test_older_attempt_is_told_that_it_is_over(slots: Slots) -> None:
    newer = Holder(A.run_id, 2, A.location)
    enable(slots.client, limit=5)
    slots.acquire(newer)

    with pytest.raises(SupersededError) as caught:
        slots.acquire(A)

    assert (caught.value.attempt, caught.value.newer_attempt) == (1, 2)
    assert slots.holders() == (newer,)


def test_release_frees_the_slot_once(slots: Slots) -> None:
    assert not slots.release(A.run_id, 1)  # there is no item yet
    slots.acquire(A)

    assert slots.release(A.run_id, 1)
    assert not slots.release(A.run_id, 1)
    assert slots.acquire(B) == Acquired(B)


def test_lost_answer_of_a_release(slots: Slots, network: Network) -> None:
    slots.acquire(A)
    network.lose_answers("UpdateItem")

    slots.release(A.run_id, 1)

    assert slots.holders() == ()


def test_late_release_of_an_older_attempt_changes_nothing(slots: Slots) -> None:
    newer = Holder(A.run_id, 2, A.location)
    slots.acquire(A)
    slots.acquire(newer)

    assert not slots.release(A.run_id, 1)
    assert slots.holders() == (newer,)


def test_a_server_hosts_a_holder_and_no_other_does(slots: Slots) -> None:
    slots.acquire(A)

    assert slots.host(A.run_id, 1, SERVER)
    assert slots.host(A.run_id, 1, SERVER)
    assert not slots.host(A.run_id, 1, OTHER)
    assert [holder.hosted_by for holder in slots.holders()] == [SERVER]


def test_a_server_hosts_neither_a_stranger_nor_another_attempt(slots: Slots) -> None:
    assert not slots.host(A.run_id, 1, SERVER)  # there is no item yet
    slots.acquire(Holder(A.run_id, 2, A.location))

    assert not slots.host(A.run_id, 1, SERVER)
    assert not slots.host(B.run_id, 1, SERVER)
    assert [holder.hosted_by for holder in slots.holders()] == [None]


def test_lost_answer_of_a_host(slots: Slots, network: Network) -> None:
    slots.acquire(A)
    network.lose_answers("UpdateItem")

    assert slots.host(A.run_id, 1, SERVER)


def test_an_acquire_that_is_repeated_late_leaves_the_server_in_place(slots: Slots) -> None:
    slots.acquire(A)
    slots.host(A.run_id, 1, SERVER)

    assert slots.acquire(A) == Acquired(replace(A, hosted_by=SERVER))
    assert [holder.hosted_by for holder in slots.holders()] == [SERVER]


def test_remove_takes_away_what_was_seen_and_nothing_else(slots: Slots) -> None:
    slots.acquire(A)
    [waiting] = slots.holders()
    slots.host(A.run_id, 1, SERVER)
    [hosted] = slots.holders()

    assert not slots.remove(waiting)
    assert not slots.remove(replace(hosted, hosted_by=OTHER))
    assert not slots.remove(replace(hosted, attempt=2))
    assert slots.remove(hosted)
    assert not slots.remove(hosted)
    slots.acquire(B)
    assert slots.remove(B)
    assert slots.holders() == ()


def without_a_slot(slots: Slots) -> object:
    return slots.acquire(A)


TROUBLE: list[Callable[[Slots], object]] = [
    without_a_slot,
    Slots.holders,
    Slots.settings,
    lambda slots: slots.release(A.run_id, 1),
]


@pytest.mark.parametrize("call", TROUBLE, ids=["acquire", "holders", "settings", "release"])
def test_missing_table_is_an_error_of_its_own(
    client: DynamoDBClient, call: Callable[[Slots], object]
) -> None:
    with pytest.raises(TableRefusedError, match="pulumi up") as caught:
        call(Slots(client, "no-such-table"))

    assert caught.value.code == "ResourceNotFoundException"


@pytest.mark.parametrize("operation", ["GetItem", "UpdateItem"])
def test_silence_is_never_a_denial(slots: Slots, network: Network, operation: str) -> None:
    slots.clear_limits()
    network.lose_requests(operation, ALWAYS)

    with pytest.raises(TableUnreachableError, match=f"dynamodb:{operation}"):
        slots.acquire(A)


@pytest.fixture
def silent_endpoint() -> Iterator[str]:
    """Takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_silence_ends_in_time(
    environment: None, monkeypatch: pytest.MonkeyPatch, silent_endpoint: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", silent_endpoint)
    monkeypatch.setitem(aws.DEADLINES, "dynamodb", aws.Deadline(0.1, 0.1, attempts=2))

    with pytest.raises(TableError, match=r"(?i)read timeout"):
        Slots(aws.dynamodb(), TABLE).acquire(A)


# Each guarantee, and the expression without the guard that gives it: the same steps must fail.


def more_holders_than_slots(slots: Slots) -> None:
    slots.acquire(A)
    slots.acquire(B)
    assert len(slots.holders()) == 1


def a_late_request_wipes_out_the_server(slots: Slots) -> None:
    slots.acquire(A)
    slots.host(A.run_id, 1, SERVER)
    slots.acquire(A)
    assert slots.holders()[0].hosted_by == SERVER


def a_reconciler_removes_what_a_server_has_taken_meanwhile(slots: Slots) -> None:
    slots.acquire(A)
    [seen] = slots.holders()
    slots.host(A.run_id, 1, SERVER)
    assert not slots.remove(seen)


def two_servers_start_one_run(slots: Slots) -> None:
    slots.acquire(A)
    slots.host(A.run_id, 1, SERVER)
    assert not slots.host(A.run_id, 1, OTHER)


def an_older_attempt_replaces_a_newer(slots: Slots) -> None:
    enable(slots.client, limit=2)
    slots.acquire(Holder(A.run_id, 2, A.location))
    with pytest.raises(SupersededError):
        slots.acquire(A)


def a_zombie_releases_what_is_not_its_own(slots: Slots) -> None:
    slots.acquire(Holder(A.run_id, 2, A.location))
    slots.release(A.run_id, 1)
    assert len(slots.holders()) == 1


NEW, OLDER = conditions.NOT_YET_A_HOLDER, conditions.OLDER_ATTEMPT_HOLDS
ANY = "attribute_exists(holders)"
BROKEN: list[tuple[str, str, Callable[[Slots], None]]] = [
    ("MAY_JOIN", f"{ANY} OR ({{room}}) OR {OLDER}", more_holders_than_slots),
    ("MAY_JOIN", f"({{room}}) OR {OLDER}", an_older_attempt_replaces_a_newer),
    (
        "MAY_JOIN",
        f"({{room}} AND {NEW}) OR holders.#run.attempt <= :attempt",
        a_late_request_wipes_out_the_server,
    ),
    ("IS_MINE", f"({ANY} OR :attempt = :attempt)", a_zombie_releases_what_is_not_its_own),
    ("NOT_HOSTED", ANY, a_reconciler_removes_what_a_server_has_taken_meanwhile),
    ("NOT_HOSTED", ANY, two_servers_start_one_run),
]


@pytest.mark.parametrize(
    ("guard", "broken", "steps"), BROKEN, ids=[row[2].__name__ for row in BROKEN]
)
def test_without_its_guard_each_guarantee_fails(
    slots: Slots,
    monkeypatch: pytest.MonkeyPatch,
    guard: str,
    broken: str,
    steps: Callable[[Slots], None],
) -> None:
    steps(slots)
    for holder in slots.holders():
        slots.release(holder.run_id, holder.attempt)
    enable(slots.client, limit=1)

    monkeypatch.setattr(conditions, guard, broken)

    with pytest.raises((AssertionError, SupersededError, pytest.fail.Exception)):
        steps(slots)
