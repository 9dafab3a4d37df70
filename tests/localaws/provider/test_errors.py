"""What the user reads when the provider can't do what is asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

import pulumi_aws as aws
import pytest

from tests.localaws.provider.engine import Engine, EngineError, Program

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def engine(new_engine: Callable[[], Engine]) -> Engine:
    return new_engine()


def error_of(engine: Engine, program: Program) -> str:
    with pytest.raises(EngineError) as raised:
        engine.preview(program)
    return str(raised.value)


def test_names_every_property_that_it_does_not_know(engine: Engine) -> None:
    text = error_of(
        engine, lambda: aws.cloudwatch.LogGroup("x", name="l", kms_key_id="k", skip_destroy=True)
    )
    assert "does not implement kmsKeyId of aws:cloudwatch/logGroup:LogGroup" in text
    assert "does not implement skipDestroy of aws:cloudwatch/logGroup:LogGroup" in text
    assert "It knows: name, region, retentionInDays, tags." in text


def test_names_properties_inside_blocks(engine: Engine) -> None:
    rule = {"id": "x", "status": "Enabled", "expiration": {"date": "2030-01-01"}}
    text = error_of(
        engine,
        lambda: aws.s3.BucketLifecycleConfiguration("x", bucket="b", rules=cast(Any, [rule])),
    )
    assert "does not implement rules.expiration.date of aws:s3/bucketLifecycle" in text
    assert "It knows: days." in text


def test_names_required_properties(engine: Engine) -> None:
    text = error_of(engine, lambda: aws.iam.Role("role", assume_role_policy="{}"))
    assert "aws:iam/role:Role needs the property name" in text


def test_refuses_types_that_it_does_not_make(engine: Engine) -> None:
    text = error_of(engine, lambda: aws.sqs.Queue("queue"))
    assert "does not make aws:sqs/queue:Queue" in text
    assert "aws:dynamodb/table:Table, " in text
    assert "localaws/provider/resource_types.py" in text


def test_refuses_look_ups_that_it_does_not_know(engine: Engine) -> None:
    text = error_of(engine, lambda: aws.ssm.get_parameter(name="x"))
    assert "does not answer aws:ssm/getParameter:getParameter" in text
    text = error_of(engine, lambda: aws.ec2.get_vpc(tags={"a": "b"}))
    assert "does not implement ['tags'] of aws:ec2/getVpc:getVpc. It knows: id." in text


@pytest.mark.parametrize("where", ["default", "explicit"])
def test_refuses_provider_settings_that_stacks_would_share(
    new_engine: Callable[[], Engine], where: str
) -> None:
    engine = new_engine()

    def program() -> None:
        aws.Provider("mine", region="us-east-1", default_tags={"tags": {"a": "b"}})

    if where == "default":
        engine.configure("aws:defaultTags", json.dumps({"tags": {"a": "b"}}))
    text = error_of(engine, program if where == "explicit" else one_log_group)
    assert "does not take the provider setting defaultTags" in text


def test_asks_for_the_region(new_engine: Callable[[], Engine]) -> None:
    engine = new_engine()
    engine.stack.remove_config("aws:region")
    assert "pulumi config set aws:region" in error_of(engine, one_log_group)


def one_log_group() -> None:
    aws.cloudwatch.LogGroup("logs", name="l")
