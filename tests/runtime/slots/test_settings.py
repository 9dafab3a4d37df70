from typing import Any

import pytest
from pydantic import ValidationError
from types_boto3_dynamodb import DynamoDBClient

from run_isolation import NonIsolatedRuns, SettingsError
from run_isolation.slots.settings import MOST_SLOTS, read_settings
from run_isolation.table import HASH_KEY, SETTINGS_KEY
from tests.runtime.tables import TABLE, configure


def test_defaults() -> None:
    settings = NonIsolatedRuns()

    assert settings.model_dump() == {
        "enabled": False,
        "max_concurrent_non_isolated_runs": 1,
        "allow_automated": False,
        "location_limits": {},
    }
    assert settings.limit == 0


def test_the_item_that_pulumi_writes() -> None:
    settings = NonIsolatedRuns(enabled=True, max_concurrent_non_isolated_runs=3)

    assert settings.to_item() == {
        "pk": {"S": "settings"},
        "enabled": {"BOOL": True},
        "max_concurrent_non_isolated_runs": {"N": "3"},
        "allow_automated": {"BOOL": False},
    }
    limited = settings.model_copy(update={"location_limits": {"sales": 2}})
    assert limited.to_item() == settings.to_item() | {
        "location_limits": {"M": {"sales": {"N": "2"}}}
    }


def test_a_code_location_has_no_more_than_the_deployment() -> None:
    settings = NonIsolatedRuns(
        enabled=True,
        max_concurrent_non_isolated_runs=3,
        location_limits={"sales": 2, "research": 9, "finance": 0},
    )
    names = ("sales", "research", "finance", "marketing")
    assert [settings.limit_of(name) for name in names] == [2, 3, 0, 3]
    off = settings.model_copy(update={"enabled": False})
    assert {off.limit_of(name) for name in names} == {0}


@pytest.mark.parametrize(
    "settings",
    [
        NonIsolatedRuns(),
        NonIsolatedRuns(enabled=True, max_concurrent_non_isolated_runs=7, allow_automated=True),
        NonIsolatedRuns(enabled=True, location_limits={"sales": 0, "Data team": 1000}),
    ],
)
def test_what_is_written_is_what_is_read(client: DynamoDBClient, settings: NonIsolatedRuns) -> None:
    configure(client, settings)

    assert read_settings(client, TABLE) == settings


@pytest.mark.parametrize(
    "value",
    [
        {"enabled": "yes"},
        {"enabled": 1},
        {"max_concurrent_non_isolated_runs": 0},
        {"max_concurrent_non_isolated_runs": MOST_SLOTS + 1},
        {"max_concurrent_non_isolated_runs": 1.5},
        {"max_concurrent_non_isolated_runs": True},
        {"location_limits": {"sales": -1}},
        {"location_limits": {"sales": MOST_SLOTS + 1}},
        {"max_concurrent_runs": 1},
    ],
    ids=str,
)
def test_refused(value: dict[str, Any]) -> None:
    (name,) = value
    with pytest.raises(ValidationError, match=name):
        NonIsolatedRuns.model_validate(value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("enabled", {"S": "true"}),
        ("max_concurrent_non_isolated_runs", {"N": "1.5"}),
        ("max_concurrent_non_isolated_runs", {"N": "0"}),
        ("location_limits", {"M": {"sales": {"S": "1"}}}),
        ("location_limits", {"SS": ["sales"]}),
        ("only_jobs", {"S": "daily"}),
    ],
)
def test_malformed_item_is_refused(
    client: DynamoDBClient, name: str, value: dict[str, Any]
) -> None:
    item: dict[str, Any] = {**NonIsolatedRuns(enabled=True).to_item(), name: value}
    client.put_item(TableName=TABLE, Item=item)

    with pytest.raises(SettingsError, match=r"pulumi up"):
        read_settings(client, TABLE)


def test_missing_item(client: DynamoDBClient) -> None:
    client.delete_item(TableName=TABLE, Key={HASH_KEY: {"S": SETTINGS_KEY}})

    with pytest.raises(SettingsError, match=f"{TABLE} has no item 'settings'"):
        read_settings(client, TABLE)


def test_the_largest_limit_fits_into_one_item() -> None:
    # How DynamoDB counts: UTF-8 bytes of names and text, up to 21 for a number, 3 for a map and 1
    # for each entry of a map.
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    location = 100
    names = len("attempt") + len("location") + len("since") + len("hosted_by")
    server = 113 + len("@255.255.255.255:65535")  # the longest ARN of a task of ours, its address
    values = 21 + location + len("20260101T000000Z") + server
    ticket = 8
    holder = 36 + 1 + 3 + names + values + 4 + ticket

    assert MOST_SLOTS * holder < 400 * 1024
