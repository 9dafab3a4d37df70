"""`pulumi up` ends, however many code locations there are and however few steps it may do at once.

A hook that needs a thread which the program's pending registrations hold would wait for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from localaws.account import LocalAccount
from tests.deployment.conftest import MakeStack, config
from tests.deployment.stack import DeployedStack
from tests.deployment.stub import make_stub, stub

pytestmark = pytest.mark.engine

LIMIT = 200.0
"""Seconds, on a busy machine of two cores: an `up` that stands still does so for ever."""

Write = Callable[[DeployedStack, int, int], None]


@pytest.fixture
def write(local_image_root: Path, tmp_path: Path) -> Write:
    """Write a config of so many code locations and a limit."""
    make_stub(local_image_root, "1")

    def write(stack: DeployedStack, count: int, limit: int) -> None:
        locations: dict[str, Any] = {
            f"loc{number}": stub(local_image_root, "1") for number in range(count)
        }
        settings = {"enabled": True, "max_concurrent_non_isolated_runs": limit}
        stack.write(config(tmp_path, locations=locations, non_isolated_runs=settings))

    return write


@pytest.fixture
def stack(
    request: pytest.FixtureRequest, make_stack: MakeStack, account: LocalAccount
) -> Iterator[DeployedStack]:
    """A stack of its own; its containers do not outlive the test."""
    stack = make_stack(f"many{request.param}")
    # Without a snapshot after each step, which takes most of the time and is not what is tested.
    fast = {"PULUMI_EXPERIMENTAL": "true", "PULUMI_SKIP_CHECKPOINTS": "true"}
    stack = replace(stack, environment={**stack.environment, **fast})
    yield stack
    ecs, cluster = account.client("ecs"), f"run-isolation-{stack.name}"
    pages = ecs.get_paginator("list_services").paginate(cluster=cluster)
    for arn in [arn for page in pages for arn in page["serviceArns"]]:
        ecs.delete_service(cluster=cluster, service=arn, force=True)


def limit_in_force(account: LocalAccount, stack: DeployedStack) -> str:
    item = account.client("dynamodb").get_item(
        TableName=f"run-isolation-{stack.name}-slots", Key={"pk": {"S": "slots"}}
    )["Item"]
    return str(item["max_holders"]["N"])


@pytest.mark.parametrize(
    ("stack", "count", "parallel"), [(12, 12, 8), (40, 40, 64)], indirect=["stack"]
)
def test_a_first_up(
    stack: DeployedStack, count: int, parallel: int, write: Write, account: LocalAccount
) -> None:
    write(stack, count, 2)
    stack.run("up", "--yes", "--skip-preview", "--parallel", str(parallel), within=LIMIT)
    assert limit_in_force(account, stack) == "2"


@pytest.mark.parametrize("stack", ["edit"], indirect=True)
def test_settings_and_nine_locations_in_one_edit(
    stack: DeployedStack, write: Write, account: LocalAccount
) -> None:
    write(stack, 2, 2)
    stack.run("up", "--yes", "--skip-preview", "--parallel", "1", within=LIMIT)
    assert limit_in_force(account, stack) == "2"
    write(stack, 11, 5)
    stack.run("up", "--yes", "--skip-preview", "--parallel", "2", within=LIMIT)
    assert limit_in_force(account, stack) == "5"
