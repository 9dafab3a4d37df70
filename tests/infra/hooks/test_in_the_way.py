"""What keeps a deployment from being destroyed: what is asked, and when nothing is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from infra.hooks.in_the_way import StillInUseError, check
from tests.infra.program import ACCOUNT, REGION, deployment

LAUNCHER, ROLES = (
    f"arn:aws:iam::{ACCOUNT}:policy/run-isolation-prod-{name}"
    for name in ("launcher", "launcher-roles")
)
CLUSTER = f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/run-isolation-prod"
TASKS = [CLUSTER.replace(":cluster/", ":task/") + f"/{number}" for number in range(101)]


class Script:
    """The clients, and the calls that are expected, with their answers."""

    def __init__(self) -> None:
        for name in ("iam", "ec2", "ecs"):
            client = boto3.client(
                name, REGION, aws_access_key_id="test", aws_secret_access_key="test"
            )
            setattr(self, name, client)
        self.stubs = {name: Stubber(getattr(self, name)) for name in ("iam", "ec2", "ecs")}

    def expect(self, service: str, call: str, answer: Any, **request: Any) -> None:
        self.stubs[service].add_response(call, answer, request)

    def check(self) -> None:
        check(self, deployment())  # type: ignore[arg-type]  # the clients that it uses


@pytest.fixture
def script() -> Iterator[Script]:
    script = Script()
    with ExitStack() as stack:
        for stub in script.stubs.values():
            stack.enter_context(stub)
        yield script
    for stub in script.stubs.values():
        stub.assert_no_pending_responses()


def groups(*ids: str) -> tuple[dict[str, Any], dict[str, Any]]:
    filters = [
        {"Name": "group-name", "Values": ["run-isolation-prod-clients"]},
        {"Name": "tag:run-isolation:deployment", "Values": ["prod"]},
    ]
    return {"SecurityGroups": [{"GroupId": one} for one in ids]}, {"Filters": filters}


def test_what_is_gone_is_in_nobodys_way(script: Script) -> None:
    for _ in (LAUNCHER, ROLES):
        script.stubs["iam"].add_client_error("list_entities_for_policy", "NoSuchEntity")
    answer, request = groups()
    script.expect("ec2", "describe_security_groups", answer, **request)
    script.stubs["ecs"].add_client_error("list_tasks", "ClusterNotFoundException")
    script.check()


def test_all_that_is_in_the_way_is_told_at_once(script: Script) -> None:
    users = {
        "PolicyRoles": [{"RoleName": "daemon"}],
        "PolicyUsers": [{"UserName": "ann"}],
        "PolicyGroups": [],
    }
    script.expect("iam", "list_entities_for_policy", users, PolicyArn=LAUNCHER)
    script.stubs["iam"].add_client_error("list_entities_for_policy", "NoSuchEntity")
    answer, request = groups("sg-1")
    script.expect("ec2", "describe_security_groups", answer, **request)
    filters = [{"Name": "group-id", "Values": ["sg-1"]}]
    interfaces = [
        {"NetworkInterfaceId": "eni-1", "Description": "web"},
        {"NetworkInterfaceId": "eni-2"},
    ]
    script.expect(
        "ec2",
        "describe_network_interfaces",
        {"NetworkInterfaces": interfaces},
        Filters=filters,
    )
    script.expect("ecs", "list_tasks", {"taskArns": TASKS}, cluster=CLUSTER)
    for some in (TASKS[:100], TASKS[100:]):
        shown = [
            {"taskArn": arn, "group": "family:f" if arn == TASKS[100] else "service:sales"}
            for arn in some
        ]
        script.expect("ecs", "describe_tasks", {"tasks": shown}, cluster=CLUSTER, tasks=some)
    with pytest.raises(StillInUseError) as told:
        script.check()
    assert str(told.value) == (
        "deployment prod is still in use, so it can't be destroyed. "
        f"Policy {LAUNCHER} is attached to role daemon, user ann: detach it. "
        "Security group sg-1 (run-isolation-prod-clients) is on network interfaces eni-1 web, "
        "eni-2: take it from your webserver and daemon. "
        f"Tasks of isolated runs are running: {TASKS[100]}. Let them end, or end them: "
        "`aws ecs stop-task`. Then destroy it again."
    )
