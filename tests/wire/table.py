"""The items that the runtime keeps in the slot table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from moto import mock_aws
from types_boto3_dynamodb import DynamoDBClient

from run_isolation import Holder, NonIsolatedRuns, Slots, aws
from run_isolation.isolated import claims
from run_isolation.slots.item import KEY
from run_isolation.table import HASH_KEY, claim_key
from tests.runtime.tables import TABLE, create_table
from tests.wire.values import LOCATION, NOW, OTHER_RUN, RUN, SERVER, SINCE, TASK


@contextmanager
def table(*items: Mapping[str, Any]) -> Iterator[DynamoDBClient]:
    """A client of a slot table with these items."""
    with mock_aws():
        client = aws.dynamodb("us-east-1")
        create_table(client)
        for item in items:
            client.put_item(TableName=TABLE, Item=item)
        yield client


def read(client: DynamoDBClient, key: Mapping[str, Any]) -> Any:
    """An item as it is stored."""
    return client.get_item(TableName=TABLE, Key=key)["Item"]


def slots() -> Any:
    """All slots: one holder that a server has signed for, one that nobody has."""
    with table() as client:
        these = Slots(client, TABLE)
        limits = {"max_concurrent_non_isolated_runs": 2, "location_limits": {"research_lab": 1}}
        these.set_limits(NonIsolatedRuns.model_validate({"enabled": True, **limits}))
        these.acquire(Holder(RUN, 1, LOCATION, since=SINCE))
        these.host(RUN, 1, SERVER)
        these.acquire(Holder(OTHER_RUN, 1, "research_lab", since=SINCE))
        return read(client, KEY)


def claim() -> Any:
    """Who executes an isolated run."""
    with table() as client, patch.object(claims, "time", SimpleNamespace(time=lambda: NOW)):
        claims.claim(client, TABLE, RUN, 2, TASK)
        return read(client, {HASH_KEY: {"S": claim_key(RUN)}})
