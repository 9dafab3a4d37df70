"""The instance document: its name, its item, and what is said where it can't be used."""

from __future__ import annotations

import json

import pytest
from types_boto3_dynamodb import DynamoDBClient

from run_isolation.errors import InstanceError
from run_isolation.instance import DOCUMENT, Instance
from tests.runtime.tables import TABLE

YAML = {"run_retries": {"enabled": True}, "concurrency": {"pools": {"default_limit": 1}}}


def test_what_is_written_is_read(client: DynamoDBClient) -> None:
    instance = Instance(dagster_yaml=YAML, env={"A": "b"}, sensor_timeout_seconds=300)
    client.put_item(TableName=TABLE, Item=instance.to_item())
    assert Instance.load(client, TABLE, instance.version) == instance


def test_equal_documents_have_equal_names_and_others_have_others() -> None:
    turned = dict(reversed(YAML.items()))
    assert Instance(dagster_yaml=turned).version == Instance(dagster_yaml=YAML).version
    assert (
        Instance(dagster_yaml=YAML, env={"A": "b"}).version != Instance(dagster_yaml=YAML).version
    )


def test_it_knows_which_variables_it_names() -> None:
    yaml = {
        "run_queue": {"max_concurrent_runs": {"env": "MOST"}},
        "compute_logs": {"config": {"bucket": {"env": "BUCKET"}, "env": {"not": "one"}}},
        "list": [{"env": "IN_A_LIST"}, {"env": 1}],
        # A tag and a format as they stand.
        "auto_materialize": {"run_tags": {"env": "prod"}},
        "python_logs": {"dagster_handler_config": {"formatters": {"f": {"env": "x"}}}},
    }
    assert Instance(dagster_yaml=yaml).variables == {"MOST", "BUCKET", "IN_A_LIST"}


def test_a_tag_named_env_is_no_variable() -> None:
    """Else a queued run would take it for one that its task definition lacks."""
    yaml = {
        "auto_materialize": {"run_tags": {"env": "prod"}},
        "sensors": {"num_workers": {"env": "WORKERS"}},
    }
    assert Instance(dagster_yaml=yaml).variables == {"WORKERS"}


def test_a_version_that_is_not_there_is_said(client: DynamoDBClient) -> None:
    with pytest.raises(InstanceError, match="no such item"):
        Instance.load(client, TABLE, "0123456789abcdef")


def test_a_field_of_a_later_release_is_ignored(client: DynamoDBClient) -> None:
    instance = Instance(dagster_yaml=YAML)
    item = instance.to_item()
    item[DOCUMENT] = {"S": json.dumps({"dagster_yaml": YAML, "later": 1})}
    client.put_item(TableName=TABLE, Item=item)
    assert Instance.load(client, TABLE, instance.version) == instance
