"""What no process of ours writes into the slots item: one error that says which."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from types_boto3_dynamodb import DynamoDBClient

from run_isolation import Acquired, Holder, Slots, TableError
from run_isolation.errors import HolderError
from run_isolation.server_identity import ServerIdentity
from run_isolation.slots.decision import after_error
from run_isolation.slots.item import HOLDERS, KEY, tickets_of, to_attribute
from tests.runtime.tables import TABLE, enable

CLUSTER = "arn:aws:ecs:us-east-1:123456789012:cluster/run-isolation-prod"
SOUND = Holder("sound", 1, "sales")
ENTRY = to_attribute(SOUND)["M"]
MALFORMED: dict[str, tuple[Any, str]] = {
    "no map": ({"S": "x"}, "it has no attempt"),
    "no attempt": ({"M": {"location": {"S": "sales"}}}, "it has no attempt"),
    "an attempt in words": ({"M": {**ENTRY, "attempt": {"S": "1"}}}, "it has no attempt"),
    "half an attempt": ({"M": {**ENTRY, "attempt": {"N": "1.5"}}}, "its attempt is 1.5"),
    "no location": ({"M": {"attempt": {"N": "1"}}}, "it has no location"),
    "no since": ({"M": {**ENTRY, "since": {"N": "1"}}}, "it has no since"),
    "a host in words": ({"M": {**ENTRY, "hosted_by": {"S": "me"}}}, "its hosted_by is"),
    "a host that is a number": ({"M": {**ENTRY, "hosted_by": {"N": "1"}}}, "its hosted_by is"),
    "a host elsewhere": (
        {"M": {**ENTRY, "hosted_by": {"S": f"{CLUSTER.replace('prod', 'test')}/1@evil:1"}}},
        "its hosted_by is a task outside of",
    ),
    "a cluster whose name goes on": (
        {
            "M": {
                **ENTRY,
                "hosted_by": {"S": f"{CLUSTER.replace(':cluster', ':task')}2/1@10.0.0.1:4001"},
            }
        },
        "its hosted_by is a task outside of",
    ),
}


@pytest.fixture
def slots(client: DynamoDBClient) -> Slots:
    enable(client, limit=2)
    slots = Slots(client, TABLE, cluster=CLUSTER)
    slots.acquire(SOUND)
    return slots


def write(slots: Slots, run_id: str, value: Any) -> None:
    slots.client.update_item(
        TableName=TABLE,
        Key=KEY,
        UpdateExpression="SET holders.#run = :value",
        ExpressionAttributeNames={"#run": run_id},
        ExpressionAttributeValues={":value": value},
    )


@pytest.mark.parametrize(("value", "problem"), MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_holder_is_one_error_that_says_which(
    slots: Slots, value: Any, problem: str, caplog: pytest.LogCaptureFixture
) -> None:
    write(slots, "run-x", value)
    for ask in (slots.holders, lambda: slots.acquire(Holder("other", 1, "sales"))):
        with pytest.raises(HolderError, match=f"'run-x': {problem}") as caught:
            ask()
        assert isinstance(caught.value, TableError)
        # So a launch that asked is isolated, and says why.
        assert "'run-x'" in after_error(caught.value).reason

    with caplog.at_level(logging.WARNING):
        assert slots.mended_holders() == (SOUND,)
    assert problem in caplog.text
    assert slots.holders() == (SOUND,)
    other = Holder("other", 1, "sales")
    assert slots.acquire(other) == Acquired(other)


def test_a_holder_that_was_mended_meanwhile_stays(slots: Slots) -> None:
    write(slots, "run-x", MALFORMED["no attempt"][0])
    read = slots.client.get_item(TableName=TABLE, Key=KEY)["Item"]
    write(slots, "run-x", {"M": ENTRY})
    seen = Slots(slots.client, TABLE)
    object.__setattr__(seen, "_read", lambda: read)
    seen.mended_holders()
    assert len(slots.holders()) == 2


def test_a_task_of_the_deployment_is_believed(slots: Slots) -> None:
    task = f"{CLUSTER.replace(':cluster', ':task')}/0123456789abcdef"
    server = ServerIdentity(task, "10.0.0.1:4001")
    assert slots.host(SOUND.run_id, 1, server)
    [holder] = slots.holders()
    assert holder.hosted_by == server


@pytest.mark.parametrize("value", [{"S": "x"}, {"N": "1"}, {"SS": ["x"]}], ids=str)
def test_holders_that_are_no_map_are_an_error_that_says_how_to_mend(
    slots: Slots, value: Any
) -> None:
    item = slots.client.get_item(TableName=TABLE, Key=KEY)["Item"]
    slots.client.put_item(TableName=TABLE, Item={**item, HOLDERS: value})
    for ask in (slots.holders, slots.mended_holders):
        with pytest.raises(HolderError, match=r"holders.*delete the attribute"):
            ask()


@pytest.mark.parametrize("value", [{"S": "x"}, {"SS": ["x", "y", "z"]}], ids=str)
def test_tickets_that_are_none_are_made_anew(slots: Slots, value: Any) -> None:
    item = slots.client.get_item(TableName=TABLE, Key=KEY)["Item"]
    slots.client.put_item(TableName=TABLE, Item={**item, tickets_of("sales"): value})
    assert slots.mended_holders() == (SOUND,)
    other = Holder("other", 1, "sales")
    assert slots.acquire(other) == Acquired(other)
    assert slots.of("sales").release("other", 1)
