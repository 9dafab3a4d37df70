"""Everything of a stack that an AWS account holds, asked of AWS and not of Pulumi."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from localaws.account import LocalAccount


def inventory(account: LocalAccount, stack: str) -> set[str]:
    """Name or ARN of each thing in the account that belongs to the stack."""
    prefix = f"run-isolation-{stack}"
    return {*_ecs(account, prefix), *_network(account, stack), *_named(account, stack, prefix)}


def _pages(client: Any, operation: str, **arguments: Any) -> Iterator[dict[str, Any]]:
    yield from client.get_paginator(operation).paginate(**arguments)


def _ecs(account: LocalAccount, prefix: str) -> Iterator[str]:
    ecs = account.client("ecs")
    # A deleted cluster stays visible as INACTIVE.
    for cluster in ecs.describe_clusters(clusters=[prefix])["clusters"]:
        if cluster["status"] == "ACTIVE":
            yield cluster["clusterArn"]
    for status in ("ACTIVE", "INACTIVE"):
        for page in _pages(ecs, "list_task_definitions", status=status):
            arns = page["taskDefinitionArns"]
            yield from (arn for arn in arns if f"/{prefix}-" in arn)


def _network(account: LocalAccount, stack: str) -> Iterator[str]:
    ours = {"Key": "run-isolation:deployment", "Value": stack}
    ec2 = account.client("ec2")
    for operation, key, identifier in [
        ("describe_vpcs", "Vpcs", "VpcId"),
        ("describe_subnets", "Subnets", "SubnetId"),
        ("describe_security_groups", "SecurityGroups", "GroupId"),
        ("describe_internet_gateways", "InternetGateways", "InternetGatewayId"),
        ("describe_route_tables", "RouteTables", "RouteTableId"),
        ("describe_addresses", "Addresses", "AllocationId"),
        ("describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId"),
        ("describe_nat_gateways", "NatGateways", "NatGatewayId"),
    ]:
        for item in getattr(ec2, operation)()[key]:
            # What was deleted stays visible for an hour.
            if ours in item.get("Tags", []) and item.get("State") not in ("deleting", "deleted"):
                yield item[identifier]


def _named(account: LocalAccount, stack: str, prefix: str) -> Iterator[str]:
    for page in _pages(account.client("iam"), "list_roles"):
        yield from (r["Arn"] for r in page["Roles"] if r["RoleName"].startswith(f"{prefix}-"))
    for page in _pages(account.client("iam"), "list_policies", Scope="Local"):
        yield from (p["Arn"] for p in page["Policies"] if p["PolicyName"].startswith(f"{prefix}-"))
    for page in _pages(account.client("logs"), "describe_log_groups"):
        names = (group["logGroupName"] for group in page["logGroups"])
        yield from (name for name in names if name.startswith(f"/run-isolation/{stack}/"))
    for page in _pages(account.client("ssm"), "describe_parameters"):
        names = (parameter["Name"] for parameter in page["Parameters"])
        yield from (name for name in names if name.startswith(f"/run-isolation/{stack}/"))
    for page in _pages(account.client("dynamodb"), "list_tables"):
        yield from (name for name in page["TableNames"] if name.startswith(f"{prefix}-"))
    for bucket in account.client("s3").list_buckets()["Buckets"]:
        if bucket["Name"].startswith(f"{prefix}-"):
            yield bucket["Name"]
    for page in _pages(account.client("servicediscovery"), "list_namespaces"):
        yield from (
            n["Arn"] for n in page["Namespaces"] if n["Name"] == f"{stack}.run-isolation.internal"
        )
