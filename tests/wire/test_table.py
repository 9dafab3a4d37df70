"""Items of the slot table that another version has written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from run_isolation import (
    Acquired,
    ClaimLostError,
    Denied,
    Holder,
    NonIsolatedRuns,
    SettingsError,
    Slots,
    claim,
)
from run_isolation.isolated.claims import Claim, claimed_by
from run_isolation.slots.item import KEY
from tests.runtime.tables import TABLE
from tests.wire.recorded import each, parsed
from tests.wire.table import read, table
from tests.wire.values import LOCATION, OTHER_RUN, RUN, SERVER, SINCE, STANDING, TASK

LATER = {"colour": {"S": "blue"}}
"""What a later version may have added."""


@contextmanager
def slots(item: Mapping[str, Any]) -> Iterator[Slots]:
    with table(item) as client:
        yield Slots(client, TABLE)


@each("settings.json")
def test_settings(file: Path) -> None:
    of_locations = {} if file.parent.name == "0.1.0.dev0" else {"research_lab": 1}
    assert NonIsolatedRuns.from_item(parsed(file)) == NonIsolatedRuns(
        enabled=True,
        max_concurrent_non_isolated_runs=2,
        allow_automated=True,
        location_limits=of_locations,
    )


@each("settings.json")
def test_settings_of_a_later_version_are_refused(file: Path) -> None:
    """They may forbid what this version would allow. Runs are isolated then, and say why."""
    with pytest.raises(SettingsError, match=r"colour(.|\n)*`pulumi up` writes them"):
        NonIsolatedRuns.from_item(parsed(file) | LATER)


@each("slots.json")
def test_holders(file: Path) -> None:
    with slots(parsed(file)) as these:
        assert these.holders() == (
            Holder(RUN, 1, LOCATION, SINCE, SERVER),
            Holder(OTHER_RUN, 1, "research_lab", SINCE),
        )
        assert {holder.since for holder in these.holders()} == {SINCE}
        denial = these.acquire(Holder("another", 1, LOCATION))
        assert isinstance(denial, Denied)
        assert denial.limit == 2


@each("slots.json")
def test_a_slot_that_was_taken_is_signed_and_given_back(file: Path) -> None:
    with slots(parsed(file)) as these:
        assert not these.host(RUN, 1, type(SERVER)("another", "10.0.0.1:4001"))
        assert these.host(RUN, 1, SERVER)
        assert these.host(OTHER_RUN, 1, SERVER)
        assert isinstance(these.acquire(Holder(RUN, 2, LOCATION)), Acquired)
        assert these.release(OTHER_RUN, 1)
        [left] = these.holders()
        assert (left.attempt, left.hosted_by) == (2, None)


@each("slots.json")
def test_what_a_later_version_adds_to_holders_stays(file: Path) -> None:
    item = parsed(file) | LATER
    item["holders"]["M"][OTHER_RUN]["M"] |= LATER
    with table(item) as client:
        these = Slots(client, TABLE)
        assert len(these.holders()) == 2
        assert these.host(OTHER_RUN, 1, SERVER)
        after = read(client, KEY)
        assert after["colour"] == LATER["colour"]
        assert after["holders"]["M"][OTHER_RUN]["M"]["colour"] == LATER["colour"]


@each("claim.json")
def test_a_claim(file: Path) -> None:
    with table(parsed(file) | LATER) as client:
        assert claimed_by(client, TABLE, RUN) == Claim(2, TASK)
        claim(client, TABLE, RUN, 2, TASK)
        with pytest.raises(ClaimLostError, match="attempt 2"):
            claim(client, TABLE, RUN, 2, STANDING)
        claim(client, TABLE, RUN, 3, STANDING)
