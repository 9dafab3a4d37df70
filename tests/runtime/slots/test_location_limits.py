"""Limits of single code locations, beside the deployment's, decided by the same write."""

from __future__ import annotations

from typing import Any

import pytest
from types_boto3_dynamodb import DynamoDBClient

from run_isolation import Acquired, Denied, Disabled, Holder, NonIsolatedRuns, Slots
from run_isolation.slots import conditions
from run_isolation.slots.item import HOLDERS, KEY, Contents, tickets_of, to_attribute
from run_isolation.slots.mending import set_tickets
from tests.runtime.network import Network
from tests.runtime.tables import TABLE, UP_STEPS, configure, up

SALES = tuple(Holder(f"sales-{n}", 1, "sales", since=f"2026-01-01T00:00:0{n}Z") for n in range(3))
RESEARCH = tuple(
    Holder(f"research-{n}", 1, "research", since=f"2026-01-01T00:01:0{n}Z") for n in range(3)
)
ONE_OF_SALES = NonIsolatedRuns(
    enabled=True, max_concurrent_non_isolated_runs=3, location_limits={"sales": 1}
)


def item(slots: Slots) -> Any:
    return slots.client.get_item(TableName=TABLE, Key=KEY)["Item"]


def tickets_are_right(slots: Slots) -> bool:
    return not Contents.read(item(slots)).wrong_tickets()


@pytest.fixture(params=range(UP_STEPS + 1), ids=lambda steps: f"{steps} of 3 steps of an up")
def limited(request: pytest.FixtureRequest, client: DynamoDBClient) -> Slots:
    """One slot of sales, three in all; and the same `up` again, interrupted after some steps."""
    configure(client, ONE_OF_SALES)
    slots = Slots(client, TABLE)
    up(slots, ONE_OF_SALES, request.param)
    return slots


def test_each_limit_is_exact_and_a_denial_says_which_it_was(limited: Slots) -> None:
    assert limited.acquire(SALES[0]) == Acquired(SALES[0])
    assert limited.acquire(SALES[1]) == Denied((SALES[0],), 1, "sales")
    assert limited.acquire(RESEARCH[0]) == Acquired(RESEARCH[0])
    assert limited.acquire(RESEARCH[1]) == Acquired(RESEARCH[1])
    everyone = (SALES[0], *RESEARCH[:2])
    assert limited.acquire(RESEARCH[2]) == Denied(everyone, 3)
    # Of both limits that which others can't lift.
    assert limited.acquire(SALES[1]) == Denied((SALES[0],), 1, "sales")
    assert limited.of("sales").release(SALES[0].run_id, 1)
    assert limited.acquire(SALES[1]) == Acquired(SALES[1])
    assert tickets_are_right(limited)


def test_one_call_each(client: DynamoDBClient, network: Network) -> None:
    configure(client, ONE_OF_SALES)
    slots = Slots(client, TABLE, "sales")
    network.sent.clear()
    slots.acquire(SALES[0])
    slots.acquire(SALES[1])
    slots.release(SALES[0].run_id, 1)
    assert network.sent == ["UpdateItem"] * 3


def test_none_of_a_code_location(client: DynamoDBClient) -> None:
    configure(client, ONE_OF_SALES.model_copy(update={"location_limits": {"sales": 0}}))
    slots = Slots(client, TABLE)
    assert slots.acquire(SALES[0]) == Disabled("sales")
    assert slots.acquire(RESEARCH[0]) == Acquired(RESEARCH[0])


def test_a_limit_that_comes_later_counts_who_is_there(client: DynamoDBClient) -> None:
    configure(client, ONE_OF_SALES.model_copy(update={"location_limits": {}}))
    slots = Slots(client, TABLE)
    for holder in SALES[:2]:
        assert slots.acquire(holder) == Acquired(holder)
    configure(client, ONE_OF_SALES)
    assert slots.acquire(SALES[2]) == Denied(SALES[:2], 1, "sales")
    slots.remove(SALES[0])
    assert slots.acquire(SALES[2]) == Denied(SALES[1:2], 1, "sales")
    slots.remove(SALES[1])
    assert slots.acquire(SALES[2]) == Acquired(SALES[2])


def test_a_newer_attempt_has_its_run_s_ticket(client: DynamoDBClient) -> None:
    configure(client, ONE_OF_SALES)
    slots = Slots(client, TABLE, "sales")
    slots.acquire(SALES[0])
    newer = Holder(SALES[0].run_id, 2, "sales")
    assert slots.acquire(newer) == Acquired(newer)
    assert tickets_are_right(slots)
    assert not slots.release(newer.run_id, 1)
    assert tickets_are_right(slots)


def release_of_before(slots: Slots, holder: Holder) -> None:
    """By a server or reconciler of a release before tickets."""
    assert slots.release(holder.run_id, holder.attempt)


def acquire_of_before(slots: Slots, holder: Holder) -> None:
    """By a launcher of a release before tickets."""
    slots.client.update_item(
        TableName=TABLE,
        Key=KEY,
        UpdateExpression="SET holders.#run = :holder",
        ExpressionAttributeNames={"#run": holder.run_id},
        ExpressionAttributeValues={":holder": to_attribute(holder)},
    )


def test_what_an_older_server_leaves_takes_no_slot(client: DynamoDBClient) -> None:
    configure(client, ONE_OF_SALES)
    slots = Slots(client, TABLE)
    for holder in SALES:
        assert slots.acquire(holder) == Acquired(holder)
        release_of_before(slots, holder)
        assert not tickets_are_right(slots)


def test_a_pass_of_the_reconciler_makes_the_tickets_those_of_the_holders(
    client: DynamoDBClient, network: Network
) -> None:
    configure(client, ONE_OF_SALES)
    slots = Slots(client, TABLE)
    slots.acquire(SALES[0])
    release_of_before(slots, SALES[0])
    acquire_of_before(slots, RESEARCH[0])
    assert slots.mended_holders() == (RESEARCH[0],)
    assert tickets_are_right(slots)
    assert tickets_of("sales") not in item(slots)
    network.sent.clear()
    assert slots.mended_holders() == (RESEARCH[0],)
    assert network.sent == ["GetItem"]


def test_tickets_are_set_only_while_the_holders_are_as_they_were_read(
    client: DynamoDBClient,
) -> None:
    configure(client, ONE_OF_SALES)
    slots = Slots(client, TABLE, "sales")
    slots.acquire(SALES[0])
    release_of_before(Slots(client, TABLE), SALES[0])
    read = item(slots)
    assert slots.acquire(SALES[0]) == Acquired(SALES[0])
    set_tickets(client, TABLE, read)
    assert tickets_are_right(slots)
    assert slots.acquire(SALES[1]) == Denied((SALES[0],), 1, "sales")


def test_the_item_of_before_has_no_location_limits(client: DynamoDBClient) -> None:
    """As an older `pulumi up` has left it."""
    slots = Slots(client, TABLE)
    slots.acquire(SALES[0])
    before = {name: value for name, value in item(slots).items() if name in ("pk", HOLDERS)}
    client.put_item(TableName=TABLE, Item={**before, "max_holders": {"N": "2"}})
    assert slots.acquire(SALES[1]) == Acquired(SALES[1])
    assert slots.acquire(SALES[2]) == Denied(SALES[:2], 2)


def one_more_of_sales(slots: Slots) -> None:
    slots.acquire(SALES[0])
    assert not isinstance(slots.acquire(SALES[1]), Acquired)


def two_more_of_sales(slots: Slots) -> None:
    slots.acquire(SALES[0])
    slots.acquire(SALES[1])
    assert not isinstance(slots.acquire(SALES[2]), Acquired)


@pytest.mark.parametrize(
    ("broken", "steps"),
    [
        ("attribute_exists(#tickets)", one_more_of_sales),
        ("attribute_exists(#tickets) AND size(#tickets) <= {limit}", one_more_of_sales),
    ],
    ids=["no count", "one too many"],
)
def test_without_its_guard_the_limit_fails(
    client: DynamoDBClient, monkeypatch: pytest.MonkeyPatch, broken: str, steps: Any
) -> None:
    configure(client, ONE_OF_SALES)
    two_more_of_sales(Slots(client, TABLE))
    configure(client, ONE_OF_SALES)
    for holder in SALES:
        Slots(client, TABLE, "sales").release(holder.run_id, 1)
    steps(Slots(client, TABLE))
    Slots(client, TABLE, "sales").release(SALES[0].run_id, 1)
    monkeypatch.setattr(conditions, "FEWER_TICKETS", broken)
    with pytest.raises(AssertionError):
        steps(Slots(client, TABLE))
