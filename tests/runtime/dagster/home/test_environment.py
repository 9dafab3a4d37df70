"""What webserver, daemon and `launch` have in their environment."""

from __future__ import annotations

import logging
from pathlib import Path

import boto3
import pytest
import yaml

from run_isolation import Instance, aws
from run_isolation.dagster.deployment import MANIFEST as MANIFEST_VARIABLE
from run_isolation.dagster.home import environment
from run_isolation.dagster.home.files import LAST
from run_isolation.tick_timeouts import VARIABLES
from tests.runtime.manifests import MANIFEST
from tests.runtime.tables import create_table

PARAMETER = "/run-isolation/test/manifest"
SENSOR, SCHEDULE = VARIABLES


@pytest.fixture
def published(account: None, monkeypatch: pytest.MonkeyPatch) -> Instance:
    """An instance with a secret and an SSM parameter."""
    session = boto3.Session(region_name="us-east-1")
    secret = session.client("secretsmanager").create_secret(
        Name="api", SecretString='{"token": "hush"}'
    )
    ssm = session.client("ssm")
    ssm.put_parameter(Name="/team/key", Value="locked", Type="SecureString")
    parameter = ssm.get_parameter(Name="/team/key")["Parameter"]
    instance = Instance(
        dagster_yaml={},
        env={"LEVEL": "info", "TEAM": "data"},
        secrets={"TOKEN": f"{secret['ARN']}:token::", "KEY": parameter["ARN"]},
        sensor_timeout_seconds=100,
    )
    client = aws.dynamodb("us-east-1")
    create_table(client, MANIFEST.table)
    client.put_item(TableName=MANIFEST.table, Item=instance.to_item())
    manifest = MANIFEST.model_copy(update={"instance_version": instance.version})
    ssm.put_parameter(Name=PARAMETER, Value=manifest.to_json(), Type="String")
    monkeypatch.setenv(MANIFEST_VARIABLE, PARAMETER)
    return instance


def test_what_the_deployment_says_and_the_environment_does_not(published: Instance) -> None:
    mine = {"TEAM": "mine", "KEY": "mine"}
    environment.take_on(mine)
    assert mine == {
        **{"LEVEL": "info", "TEAM": "mine", "TOKEN": "hush", "KEY": "mine"},
        **{SENSOR: "100", SCHEDULE: "300"},
    }


def test_a_parameter_of_ssm(published: Instance) -> None:
    mine: dict[str, str] = {}
    environment.take_on(mine)
    assert mine["KEY"] == "locked"


def test_a_secret_that_is_gone_is_named_without_what_is_in_it(
    published: Instance, caplog: pytest.LogCaptureFixture
) -> None:
    boto3.client("secretsmanager", "us-east-1").delete_secret(
        SecretId="api", ForceDeleteWithoutRecovery=True
    )
    mine: dict[str, str] = {}
    environment.take_on(mine)
    assert "TOKEN" not in mine
    assert mine["KEY"] == "locked"
    assert "TOKEN of `instance.secrets` is not here." in caplog.text
    assert "hush" not in caplog.text


def test_where_the_deployment_can_not_be_asked_the_process_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv(MANIFEST_VARIABLE, raising=False)
    mine: dict[str, str] = {}
    environment.take_on(mine)
    assert mine == {SENSOR: "300", SCHEDULE: "300"}
    assert f"Set {MANIFEST_VARIABLE}=" in caplog.text


@pytest.mark.parametrize(("written", "lines"), [("older", 1), (None, 0), ("newest", 0)])
def test_a_home_of_another_version_is_told_of(
    published: Instance,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    written: str | None,
    lines: int,
) -> None:
    version = published.version if written == "newest" else written
    if version is not None:
        (tmp_path / LAST).write_text(yaml.safe_dump({"version": version}))
    caplog.set_level(logging.WARNING)
    environment.take_on({"DAGSTER_HOME": str(tmp_path)})
    assert caplog.text.count("Run `run-isolation dagster-home` and restart") == lines
