"""All holders share one item: how large it may get, and what a write to it costs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from run_isolation import Acquired, Holder, NonIsolatedRuns, Slots
from run_isolation.server_identity import ServerIdentity
from run_isolation.slots.item import KEY, ticket, tickets_of, to_attribute
from run_isolation.slots.settings import MOST_SLOTS
from tests.runtime.tables import configure, create_table
from tests.slots.machine import Network

TABLE = "size"
DOC = Path(__file__).parents[2] / "docs" / "stack-config.md"

# The longest keys that a stack config and AWS allow.
SERVER = ServerIdentity(
    f"arn:aws-us-gov:ecs:us-gov-west-1:123456789012:task/run-isolation-{'s' * 23}/{'f' * 32}",
    "255.255.255.255:65535",
)
LOCATION = "l" * 39
ONE_LIMIT = NonIsolatedRuns(enabled=True, location_limits={LOCATION: MOST_SLOTS})
"""Of the one code location that has all holders."""


BEFORE = {1: 1, 2: 1, 3: 1, 5: 2, 7: 2, 10: 3}
"""Limits and write units when the item had one limit, as measured here."""


def holder(number: int) -> Holder:
    return Holder(f"{number:036}", 1, LOCATION, hosted_by=SERVER)


def entry(number: int) -> Any:
    attribute = to_attribute(holder(number))
    attribute["M"]["hosted_by"] = {"S": SERVER.to_server_id()}
    return attribute


@pytest.fixture(scope="module")
def slots(network: Network) -> Slots:
    network.calm()
    create_table(network.direct, TABLE)
    return Slots(network.direct, TABLE)


def fill(slots: Slots, count: int) -> float:
    """Puts so many holders into the item. Returns the write units of one more write."""
    holders = {holder(number).run_id: entry(number) for number in range(count)}
    limits = ONE_LIMIT.model_copy(update={"max_concurrent_non_isolated_runs": max(count, 1)})
    item = {**KEY, "holders": {"M": holders}, **limits.limits_in_item()}
    tickets = {tickets_of(LOCATION): {"SS": [ticket(run) for run in holders]}} if holders else {}
    slots.client.put_item(TableName=TABLE, Item={**item, **tickets})
    answer = slots.client.update_item(TableName=TABLE, Key=KEY, ReturnConsumedCapacity="TOTAL")
    return answer["ConsumedCapacity"]["CapacityUnits"]


def test_an_entry_is_what_acquire_and_host_write(slots: Slots) -> None:
    fill(slots, 0)
    configure(slots.client, ONE_LIMIT, TABLE)
    assert isinstance(slots.acquire(holder(0)), Acquired)
    slots.host(holder(0).run_id, 1, SERVER)
    assert slots.holders() == (holder(0),)
    item = slots.client.get_item(TableName=TABLE, Key=KEY)["Item"]
    assert item[tickets_of(LOCATION)] == {"SS": [ticket(holder(0).run_id)]}
    written: Any = item["holders"]["M"]
    written[holder(0).run_id]["M"]["since"] = entry(0)["M"]["since"]
    assert written == {holder(0).run_id: entry(0)}


def test_the_largest_limit_fits(slots: Slots) -> None:
    fill(slots, MOST_SLOTS - 1)
    limit = ONE_LIMIT.model_copy(update={"max_concurrent_non_isolated_runs": MOST_SLOTS})
    configure(slots.client, limit, TABLE)
    last = holder(MOST_SLOTS)
    assert isinstance(slots.acquire(last), Acquired)
    assert slots.host(last.run_id, 1, SERVER)
    assert len(slots.holders()) == MOST_SLOTS
    assert slots.of(LOCATION).release(last.run_id, 1)


def test_dynamodb_local_knows_the_cap(slots: Slots) -> None:
    with pytest.raises(ClientError, match="size"):
        fill(slots, 2 * MOST_SLOTS)


def told() -> dict[int, int]:
    """What the docs say: the limit, and the write units of one write."""
    rows = re.findall(r"^\| ([\d,]+) \| ([\d,]+) \|$", DOC.read_text(), re.MULTILINE)
    return {int(limit.replace(",", "")): int(units.replace(",", "")) for limit, units in rows}


def test_the_docs_say_what_a_write_costs(slots: Slots) -> None:
    measured = {limit: round(fill(slots, limit)) for limit in told()}
    assert told() == measured
    assert MOST_SLOTS in measured


def test_up_to_a_limit_of_ten_a_write_costs_what_it_did_before_code_locations_had_limits() -> None:
    dearer = {limit: units for limit, units in BEFORE.items() if told()[limit] != units}
    # 44 bytes below 2 KB: fewer than the name of the location and those of two attributes have.
    assert dearer == {7: 2}
