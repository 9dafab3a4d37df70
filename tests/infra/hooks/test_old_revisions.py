from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws
from types_boto3_ecs import ECSClient

from infra.hooks.old_revisions import delete_revisions

FAMILY = "run-isolation-prod-sales-isolated"


@pytest.fixture
def ecs() -> Iterator[ECSClient]:
    with mock_aws():
        yield boto3.client("ecs", "eu-west-1")


def register(ecs: ECSClient, family: str) -> str:
    response = ecs.register_task_definition(
        family=family,
        containerDefinitions=[{"name": "dagster", "image": "code:1", "memory": 8}],
    )
    return response["taskDefinition"]["taskDefinitionArn"]


def left(ecs: ECSClient) -> list[str]:
    return [
        *ecs.list_task_definitions(status="ACTIVE")["taskDefinitionArns"],
        *ecs.list_task_definitions(status="INACTIVE")["taskDefinitionArns"],
    ]


def test_every_revision_of_the_family_goes_and_no_other(ecs: ECSClient) -> None:
    # More than one call of DeleteTaskDefinitions takes.
    revisions = [register(ecs, FAMILY) for _ in range(12)]
    ecs.deregister_task_definition(taskDefinition=revisions[0])
    others = [register(ecs, f"{FAMILY}-too"), register(ecs, "another")]
    delete_revisions(ecs, FAMILY)
    assert left(ecs) == others


def test_a_family_that_is_gone_is_no_error(ecs: ECSClient) -> None:
    delete_revisions(ecs, FAMILY)
    assert left(ecs) == []


def test_revisions_of_a_longer_name_are_safe_even_if_aws_lists_them(
    ecs: ECSClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = register(ecs, f"{FAMILY}-too")

    class Prefixes:
        def paginate(self, **_: str) -> list[dict[str, list[str]]]:
            return [{"taskDefinitionArns": [other]}]

    monkeypatch.setattr(ecs, "get_paginator", lambda _: Prefixes())
    delete_revisions(ecs, FAMILY)
    assert left(ecs) == [other]
