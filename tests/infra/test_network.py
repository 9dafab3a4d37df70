import copy
from typing import Any

import pulumi
import pytest

from tests.infra.program import REGION, TAGS, Cloud, changed, default, run

VPC = "vpc-0123456789abcdef0"
SUBNETS = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
GIVEN = changed(network={"vpcId": VPC, "subnetIds": SUBNETS, "assignPublicIp": True})


def named(name: str) -> dict[str, str]:
    return {**TAGS, "Name": f"run-isolation-prod-{name}"}


def test_vpc_has_what_private_names_need() -> None:
    assert default().inputs("ec2/vpc", "vpc") == {
        "cidrBlock": "10.0.0.0/16",
        "enableDnsHostnames": True,
        "enableDnsSupport": True,
        "tags": named("vpc"),
    }


@pytest.mark.parametrize(
    ("name", "block", "zone"),
    [
        ("private-1", "10.0.0.0/18", "a"),
        ("private-2", "10.0.64.0/18", "b"),
        ("public-1", "10.0.128.0/18", "a"),
        ("public-2", "10.0.192.0/18", "b"),
    ],
)
def test_subnets_share_the_block_among_two_zones(name: str, block: str, zone: str) -> None:
    subnet = default().one("ec2/subnet", name)
    assert subnet.inputs == {
        "vpcId": "vpc-id",
        "cidrBlock": block,
        "availabilityZone": f"{REGION}{zone}",
        "tags": named(name),
    }
    assert list(subnet.request.ignoreChanges) == ["availabilityZone"]
    assert len(default().of("ec2/subnet")) == 4


def test_only_zones_with_fargate_are_asked_for() -> None:
    [call] = [call for call in default().cloud.calls if "AvailabilityZones" in call.token]
    assert call.args == {
        "state": "available",
        "filters": [{"name": "zone-type", "values": ["availability-zone"]}],
        "excludeZoneIds": ["apne1-az3", "cnn1-az3", "cnn1-az4", "usw1-az2"],
    }


def test_public_subnets_reach_the_internet() -> None:
    program = default()
    assert program.inputs("ec2/internetGateway", "internet") == {
        "vpcId": "vpc-id",
        "tags": named("internet"),
    }
    assert program.inputs("ec2/route", "public-internet") == {
        "routeTableId": "public-id",
        "destinationCidrBlock": "0.0.0.0/0",
        "gatewayId": "internet-id",
    }
    for name in ("public-1", "public-2"):
        assert program.inputs("ec2/routeTableAssociation", name) == {
            "routeTableId": "public-id",
            "subnetId": f"{name}-id",
        }


@pytest.mark.parametrize("count", [1, 2])
def test_private_subnets_reach_it_through_nat_gateways(count: int) -> None:
    program = run(changed(network={"natGateways": count}))
    assert len(program.of("ec2/natGateway")) == len(program.of("ec2/eip")) == count
    for number in (1, 2):
        name = f"private-{number}"
        assert program.inputs("ec2/routeTable", name) == {"vpcId": "vpc-id", "tags": named(name)}
        assert program.inputs("ec2/routeTableAssociation", name) == {
            "routeTableId": f"{name}-id",
            "subnetId": f"{name}-id",
        }
        assert program.inputs("ec2/route", f"{name}-internet") == {
            "routeTableId": f"{name}-id",
            "destinationCidrBlock": "0.0.0.0/0",
            "natGatewayId": f"nat-{min(number, count)}-id",
        }
    assert program.inputs("ec2/eip", "nat-1") == {"domain": "vpc", "tags": named("nat-1")}
    assert program.inputs("ec2/natGateway", "nat-1") == {
        "allocationId": "nat-1-id",
        "subnetId": "public-1-id",
        "tags": named("nat-1"),
    }


@pytest.mark.parametrize("service", ["s3", "dynamodb"])
def test_gateway_endpoints_spare_the_nat_gateway(service: str) -> None:
    assert default().inputs("ec2/vpcEndpoint", service) == {
        "vpcId": "vpc-id",
        "serviceName": f"com.amazonaws.{REGION}.{service}",
        "vpcEndpointType": "Gateway",
        "routeTableIds": ["public-id", "private-1-id", "private-2-id"],
        "tags": named(service),
    }


def test_given_subnets_are_used_and_nothing_is_made() -> None:
    program = run(GIVEN)
    made = {one.type.split(":")[1] for one in program.resources if ":ec2/" in one.type}
    assert made == {"ec2/securityGroup"}
    assert program.outputs["subnets"] == SUBNETS
    for location in ("sales", "research_lab"):
        network = program.inputs("ecs/service", location)["networkConfiguration"]
        assert network["subnets"] == SUBNETS
        assert network["assignPublicIp"] is True
    assert program.inputs("ec2/securityGroup", "standing")["vpcId"] == VPC
    assert program.inputs("servicediscovery/privateDnsNamespace", "namespace")["vpc"] == VPC


@pytest.mark.parametrize(
    ("cloud", "expected"),
    [
        (Cloud(subnet_vpc="vpc-99999999"), f"{SUBNETS[1]}, of vpc-99999999"),
        (Cloud(dns=False), "a VPC with enableDnsHostnames"),
    ],
)
def test_mistakes_in_the_given_network_show_in_the_preview(cloud: Cloud, expected: str) -> None:
    with pytest.raises(pulumi.RunError, match="2 problems") as refused:
        run(GIVEN, cloud=cloud)
    assert expected in str(refused.value)


def test_another_block_moves_everything_in_it() -> None:
    config: dict[str, Any] = copy.deepcopy(changed(network={"cidr": "172.20.0.0/24"}))
    program = run(config)
    assert program.inputs("ec2/vpc", "vpc")["cidrBlock"] == "172.20.0.0/24"
    assert program.inputs("ec2/subnet", "public-2")["cidrBlock"] == "172.20.0.192/26"
