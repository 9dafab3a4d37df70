"""What the engine and the provider agree on, beyond single types."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pulumi
import pulumi_aws as aws
import pytest

from localaws.account import LocalAccount
from localaws.faults import Error
from tests.localaws.provider.engine import Engine, EngineError
from tests.localaws.provider.everything import ASSUME

pytestmark = pytest.mark.engine


@pytest.fixture
def engine(new_engine: Callable[[], Engine]) -> Iterator[Engine]:
    engine = new_engine()
    yield engine
    engine.destroy()


def test_a_failure_in_the_middle_is_repaired_by_the_next_up(
    engine: Engine, local_account: LocalAccount
) -> None:
    def program() -> None:
        logs = aws.cloudwatch.LogGroup("logs", name=f"/{name}/x", retention_in_days=7)
        aws.ssm.Parameter("parameter", name=f"/{name}/y", type="String", value=logs.arn)

    name = engine.stack.name
    local_account.faults.add(
        Error(service="logs", operation="PutRetentionPolicy", code="AccessDeniedException")
    )
    with pytest.raises(EngineError, match="AccessDenied"):
        engine.up(program)
    # The group was made before the failure; the engine kept it and finishes it.
    assert engine.up(program).changed == {"logs": ["update"], "parameter": ["create"]}
    assert not engine.refresh().changed
    [group] = local_account.client("logs").describe_log_groups(logGroupNamePrefix=f"/{name}/")[
        "logGroups"
    ]
    assert group["retentionInDays"] == 7


def test_secrets_stay_secret(engine: Engine) -> None:
    def program() -> None:
        value = pulumi.Output.secret("open sesame")
        made = aws.ssm.Parameter("p", name=f"/{engine.stack.name}", type="String", value=value)
        aws.iam.Role(
            "role",
            name=engine.stack.name,
            description=made.value,
            assume_role_policy=json.dumps(ASSUME),
        )

    engine.up(program)
    engine.refresh()
    stored = [path.read_text() for path in (engine.directory / "state").rglob("*.json")]
    assert stored
    assert not [text for text in stored if "sesame" in text]


def test_imports_what_exists(engine: Engine, local_account: LocalAccount) -> None:
    name = f"/{engine.stack.name}/old"
    logs = local_account.client("logs")
    logs.create_log_group(logGroupName=name, tags={"a": "b"})
    logs.put_retention_policy(logGroupName=name, retentionInDays=5)

    def program(imported: str | None = name) -> None:
        options = pulumi.ResourceOptions(import_=imported)
        aws.cloudwatch.LogGroup(
            "logs", name=name, retention_in_days=5, tags={"a": "b"}, opts=options
        )

    assert engine.up(program).changed == {"logs": ["import"]}
    assert not engine.up(lambda: program(None)).changed


def test_engines_in_two_regions_share_a_server(
    engine: Engine, new_engine: Callable[[], Engine], local_account: LocalAccount
) -> None:
    def program() -> None:
        logs = aws.cloudwatch.LogGroup("logs", name="/two/regions")
        pulumi.export("arn", logs.arn)
        pulumi.export("region", aws.get_region().region)

    other = new_engine()
    other.configure("aws:region", "eu-west-1")
    for one, region in ((engine, "us-east-1"), (other, "eu-west-1")):
        outputs = one.up(program).outputs
        assert outputs["region"] == region
        assert outputs["arn"].split(":")[3] == region
    other.configure("aws:region", "eu-west-2")
    assert "replace" in other.preview(program).changed["logs"]
    other.destroy()
