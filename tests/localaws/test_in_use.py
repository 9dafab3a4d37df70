"""What AWS does not delete while something depends on it."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws.account import LocalAccount
from tests.localaws.conftest import Cluster
from tests.localaws.roles import free_role
from tests.waiting import eventually

NOTHING = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]}
)


@pytest.fixture
def name() -> str:
    return uuid.uuid4().hex[:8]


def refused(code: str, message: str) -> Any:
    return pytest.raises(ClientError, match=rf"\({code}\).*: {message}$")


def test_a_policy_that_is_attached_or_has_versions(local_account: LocalAccount, name: str) -> None:
    iam = local_account.client("iam")
    arn = iam.create_policy(PolicyName=name, PolicyDocument=NOTHING)["Policy"]["Arn"]
    role = free_role(iam).rpartition("/")[2]
    for _ in range(2):
        iam.attach_role_policy(RoleName=role, PolicyArn=arn)
    with refused("DeleteConflict", r"Cannot delete a policy attached to entities\."):
        iam.delete_policy(PolicyArn=arn)
    iam.detach_role_policy(RoleName=role, PolicyArn=arn)
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=NOTHING)
    with refused("DeleteConflict", r"This policy has more than one version\..*"):
        iam.delete_policy(PolicyArn=arn)
    iam.delete_policy_version(PolicyArn=arn, VersionId="v2")
    iam.delete_policy(PolicyArn=arn)


def test_a_role_with_policies_or_an_instance_profile(
    local_account: LocalAccount, name: str
) -> None:
    iam = local_account.client("iam")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=NOTHING)
    iam.put_role_policy(RoleName=name, PolicyName=name, PolicyDocument=NOTHING)
    iam.create_instance_profile(InstanceProfileName=name)
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    with refused("DeleteConflict", ".*must remove roles from instance profile first.*"):
        iam.delete_role(RoleName=name)
    iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=name)
    with refused("DeleteConflict", ".*must delete policies first.*"):
        iam.delete_role(RoleName=name)
    iam.delete_role_policy(RoleName=name, PolicyName=name)
    iam.delete_role(RoleName=name)


def test_a_network_that_a_task_is_in(cluster: Cluster, name: str) -> None:
    ec2 = cluster.account.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.1.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc)["GroupId"]
    network = {"subnets": [subnet], "securityGroups": [group]}
    definition = cluster.register(cluster.container("exec sleep 60"))
    task = cluster.start(definition, networkConfiguration={"awsvpcConfiguration": network})

    with refused("DependencyViolation", f"resource {group} has a dependent object"):
        ec2.delete_security_group(GroupId=group)
    with refused("DependencyViolation", f"The subnet '{subnet}' has dependencies.*"):
        ec2.delete_subnet(SubnetId=subnet)
    cluster.ecs.stop_task(cluster=cluster.name, task=task.task_arn)
    task.wait_for("STOPPED")
    ec2.delete_subnet(SubnetId=subnet)
    with refused("DependencyViolation", f"The vpc '{vpc}' has dependencies.*"):
        ec2.delete_vpc(VpcId=vpc)
    ec2.delete_security_group(GroupId=group)
    ec2.delete_vpc(VpcId=vpc)


def test_a_group_that_another_ones_rule_names(local_account: LocalAccount, name: str) -> None:
    ec2 = local_account.client("ec2")
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    named, other = (
        ec2.create_security_group(GroupName=name + end, Description=name, VpcId=vpc)["GroupId"]
        for end in "ab"
    )
    for group in (named, other):
        # Its own rule is no reason.
        rule = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": named}]}
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
    with refused("DependencyViolation", f"resource {named} has a dependent object"):
        ec2.delete_security_group(GroupId=named)
    ec2.delete_security_group(GroupId=other)
    ec2.delete_security_group(GroupId=named)


def test_a_cluster_with_tasks_or_services(cluster: Cluster, name: str) -> None:
    ecs = cluster.ecs
    ecs.create_cluster(clusterName=name)
    definition = cluster.register(cluster.container("exec sleep 60"))
    where = {
        "taskDefinition": definition,
        "launchType": "FARGATE",
        "networkConfiguration": cluster.network,
    }
    [task] = ecs.run_task(cluster=name, **where)["tasks"]
    ecs.create_service(cluster=name, serviceName="web", desiredCount=0, **where)
    with pytest.raises(ecs.exceptions.ClusterContainsServicesException):
        ecs.delete_cluster(cluster=name)
    ecs.delete_service(cluster=name, service="web")
    eventually(lambda: ecs.list_services(cluster=name)["serviceArns"] == [])
    with pytest.raises(ecs.exceptions.ClusterContainsTasksException):
        ecs.delete_cluster(cluster=name)
    ecs.stop_task(cluster=name, task=task["taskArn"])
    cluster.account.task(task["taskArn"]).wait_for("STOPPED")
    ecs.delete_cluster(cluster=name)
