"""Every resource type through its life: the real engine against the local account."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from localaws.account import LocalAccount
from localaws.provider import lifecycle
from localaws.provider.aws import Account, Aws
from localaws.provider.resource_types import TYPES
from tests.localaws.provider.engine import Engine
from tests.localaws.provider.everything import ASSUME, Everything, allow, containers

pytestmark = pytest.mark.engine

IN_PLACE: dict[str, dict[str, Any]] = {
    "vpc": {"enable_dns_hostnames": False},
    "subnet": {"tags": {"other": "tag"}},
    "igw": {"tags": None},
    "association": {"route_table_id": lambda made: made["rtb2"].id},
    "route": {"gateway_id": None, "nat_gateway_id": lambda made: made["nat"].id},
    "endpoint": {"route_table_ids": lambda made: [made["rtb"].id, made["rtb2"].id]},
    "ingress": {"from_port": 4001, "to_port": 4002},
    "cluster": {"settings": [{"name": "containerInsights", "value": "disabled"}]},
    "providers": {"capacity_providers": ["FARGATE"]},
    "task": {"tags": {"other": "tag"}},
    "service": {"desired_count": 0, "deployment_maximum_percent": 150},
    "namespace": {"description": "Others"},
    "registry": {
        "description": "Others",
        "dns_config": lambda made: {
            "namespace_id": made["namespace"].id,
            "dns_records": [{"type": "A", "ttl": 20}],
        },
    },
    "table": {
        "ttl": None,
        "point_in_time_recovery": {"enabled": False},
        "tags": {"stack": "other", "more": "tags"},
    },
    "item": {"item": json.dumps({"pk": {"S": "settings"}, "limit": {"N": "2"}})},
    "parameter": {"value": '{"version": 2}', "description": None},
    "logs": {"retention_in_days": 7},
    "role": {
        "description": "Other",
        "assume_role_policy": json.dumps({**ASSUME, "Id": "other"}),
    },
    "role-policy": {"policy": allow("s3:PutObject")},
    "policy": {"policy": allow("ecs:RunTask"), "tags": {"other": "tag"}},
    "bucket": {"tags": {"other": "tag"}, "force_destroy": False},
    "public-access": {"block_public_acls": False},
    "encryption": {
        "rules": [{"apply_server_side_encryption_by_default": {"sse_algorithm": "aws:kms"}}]
    },
    "lifecycle": {
        "rules": [
            {
                "id": "expire",
                "status": "Enabled",
                "filter": {"prefix": "storage/"},
                "expiration": {"days": 5},
            }
        ]
    },
}

REPLACED: dict[str, dict[str, Any]] = {
    "group": {"description": "Others"},
    "task": {"container_definitions": containers(environment=[{"name": "A", "value": "3"}])},
    "dropped": {"cpu": "512"},
    "logs": {"name": "/elsewhere/sales"},
    "policy": {"description": "Others"},
    "route": {"destination_cidr_block": "10.9.0.0/16"},
    "registry": {
        "dns_config": lambda made: {
            "namespace_id": made["namespace"].id,
            "routing_policy": "WEIGHTED",
            "dns_records": [{"type": "A", "ttl": 10}],
        }
    },
    "endpoint": {"service_name": "com.amazonaws.us-east-1.s3"},
}
FOLLOWING = {"ingress", "egress", "attachment"}
"""What is replaced because it belongs to a replaced resource."""

NEW_FIRST = ["create-replacement", "replace", "delete-replaced"]
OLD_FIRST = ["delete-replaced", "replace", "create-replacement"]


@pytest.fixture(scope="module")
def engine(new_engine: Callable[[], Engine]) -> Iterator[Engine]:
    engine = new_engine()
    engine.up(Everything(engine.stack.name))
    yield engine
    engine.destroy()


def test_program_has_every_type(engine: Engine) -> None:
    assert {one["type"] for one in engine.state().values()} >= set(TYPES)


def test_nothing_changes_without_a_reason(engine: Engine) -> None:
    program = Everything(engine.stack.name)
    engine.up(program)
    refreshed = engine.refresh()
    assert set(refreshed.steps) == set(program.made)
    assert not refreshed.changed
    again = engine.up(program)
    assert set(again.steps) == set(program.made)
    assert not again.changed, again.diffs


def test_a_group_lets_out_only_what_the_program_says(
    engine: Engine, local_account: LocalAccount
) -> None:
    engine.up(Everything(engine.stack.name))
    group = engine.state()["group"]["id"]
    [found] = local_account.client("ec2").describe_security_groups(GroupIds=[group])[
        "SecurityGroups"
    ]
    [rule] = found["IpPermissionsEgress"]
    assert [one["CidrIp"] for one in rule["IpRanges"]] == ["10.0.0.0/8"]


def test_updates_in_place(engine: Engine) -> None:
    ran = engine.up(Everything(engine.stack.name, IN_PLACE))
    assert ran.changed == {name: ["update"] for name in IN_PLACE}, ran.diffs
    assert ran.diffs["service"] == {
        "deploymentMaximumPercent": "update",
        "desiredCount": "update",
    }
    assert not engine.refresh().changed
    again = engine.up(Everything(engine.stack.name, IN_PLACE))
    assert not again.changed, again.diffs


def test_replaces_where_aws_does(engine: Engine, local_account: LocalAccount) -> None:
    program = Everything(engine.stack.name)
    engine.up(program)
    before = {name: one["id"] for name, one in engine.state().items() if "id" in one}
    ran = engine.up(Everything(engine.stack.name, REPLACED))

    replaced = {name for name, steps in ran.changed.items() if "replace" in steps}
    assert replaced == {*REPLACED, *FOLLOWING}
    rest = {name: steps for name, steps in ran.changed.items() if name not in replaced}
    assert rest == {"service": ["update"]}
    assert ran.diffs["group"] == {"description": "update-replace"}
    # The old one goes first only where the name could not be taken twice.
    assert ran.changed["task"] == ran.changed["endpoint"] == NEW_FIRST
    for name in ("group", "policy", "registry"):
        assert [s for s in ran.changed[name] if s in OLD_FIRST] == OLD_FIRST

    ecs = local_account.client("ecs")

    def status(name: str) -> str:
        found = ecs.describe_task_definition(taskDefinition=before[name])
        return str(found["taskDefinition"]["status"])

    assert (status("task"), status("dropped")) == ("ACTIVE", "INACTIVE")


def test_what_vanished_comes_back(engine: Engine, local_account: LocalAccount) -> None:
    program = Everything(engine.stack.name)
    engine.up(program)
    state = {name: one.get("outputs", {}) for name, one in engine.state().items()}
    client = local_account.client
    client("logs").delete_log_group(logGroupName=state["logs"]["name"])
    client("ssm").delete_parameter(Name=state["parameter"]["name"])
    client("iam").delete_role_policy(RoleName=state["role"]["name"], PolicyName="tasks")
    client("dynamodb").delete_item(TableName=state["table"]["name"], Key={"pk": {"S": "settings"}})
    client("ec2").revoke_security_group_egress(
        GroupId=state["group"]["id"], SecurityGroupRuleIds=[state["egress"]["id"]]
    )
    client("s3").delete_bucket_policy(Bucket=state["bucket"]["bucket"])
    client("ecs").deregister_task_definition(taskDefinition=state["dropped"]["arn"])
    client("ecs").delete_service(cluster=state["cluster"]["arn"], service="sales", force=True)
    gone = {
        "logs",
        "parameter",
        "role-policy",
        "item",
        "egress",
        "bucket-policy",
        "dropped",
        "service",
    }
    assert engine.refresh().changed == {name: ["delete"] for name in gone}
    assert engine.up(program).changed == {name: ["create"] for name in gone}


def test_preview_writes_nothing(engine: Engine, local_account: LocalAccount) -> None:
    engine.up(Everything(engine.stack.name))
    local_account.calls.clear()
    ran = engine.preview(Everything(engine.stack.name, {"task": {"cpu": "512"}}))
    assert ran.changed["task"][0] in NEW_FIRST
    assert ran.changed["service"] == ["update"]
    assert set(ran.changed) == {"task", "service"}
    assert not [c for c in local_account.calls.all("ecs") if not c.operation.startswith("Describe")]


def test_destroy_leaves_nothing(
    new_engine: Callable[[], Engine], local_account: LocalAccount
) -> None:
    engine = new_engine()
    engine.up(Everything(engine.stack.name))
    state = {n: one for n, one in engine.state().items() if one["type"] in TYPES}
    engine.destroy()
    account = Account(local_account.endpoint_url, local_account.environment())
    aws = Aws(account, "us-east-1", timeout=1)
    left = {
        name
        for name, one in state.items()
        if lifecycle.read(TYPES[one["type"]], aws, one["id"], one["outputs"])
    }
    assert left == {"task"}  # skipDestroy keeps the revision
