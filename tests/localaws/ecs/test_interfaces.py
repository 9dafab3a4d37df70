"""A task's network interface, as EC2 shows it."""

from __future__ import annotations

from typing import Any

from localaws.account import LocalAccount
from tests.localaws.conftest import Cluster
from tests.waiting import eventually


def shown(account: LocalAccount, interface: str) -> list[dict[str, Any]]:
    by_id = [{"Name": "network-interface-id", "Values": [interface]}]
    found: list[dict[str, Any]] = account.client("ec2").describe_network_interfaces(Filters=by_id)[
        "NetworkInterfaces"
    ]
    return found


def test_ec2_shows_it_with_its_groups_until_the_task_has_stopped(
    cluster: Cluster, local_account: LocalAccount
) -> None:
    ec2 = local_account.client("ec2")
    [subnet] = ec2.describe_subnets(SubnetIds=cluster.network["awsvpcConfiguration"]["subnets"])[
        "Subnets"
    ]
    group = ec2.create_security_group(
        GroupName=cluster.name, Description="of a task", VpcId=subnet["VpcId"]
    )["GroupId"]
    own = {**cluster.network["awsvpcConfiguration"], "securityGroups": [group]}
    [task] = cluster.run_task(
        cluster.register(cluster.container("sleep 60")),
        networkConfiguration={"awsvpcConfiguration": own},
    )["tasks"]
    details = {one["name"]: one["value"] for one in task["attachments"][0]["details"]}

    [interface] = shown(local_account, details["networkInterfaceId"])
    assert interface["SubnetId"] == details["subnetId"] == subnet["SubnetId"]
    assert interface["PrivateIpAddress"] == details["privateIPv4Address"]
    assert [one["GroupId"] for one in interface["Groups"]] == [group]

    cluster.ecs.stop_task(cluster=cluster.name, task=task["taskArn"])
    eventually(lambda: not shown(local_account, details["networkInterfaceId"]))
