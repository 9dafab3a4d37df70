"""Where tasks run: a VPC of our own in two zones, or the user's subnets."""

from collections.abc import Sequence
from ipaddress import IPv4Network
from typing import Final

import pulumi
import pulumi_aws as aws

from infra.config import ConfigError, Problem
from infra.deployment import Deployment

DEFAULT_CIDR: Final = "10.0.0.0/16"
ANYWHERE: Final = "0.0.0.0/0"

ZONES_WITHOUT_FARGATE: Final = ["apne1-az3", "cnn1-az3", "cnn1-az4", "usw1-az2"]
"""Ids of zones that Fargate does not serve
(https://docs.aws.amazon.com/AmazonECS/latest/developerguide/AWS_Fargate-Regions.html)."""


class Network(pulumi.ComponentResource):
    """A VPC with subnets that reach the internet but are not reached from it."""

    vpc_id: pulumi.Input[str]
    subnet_ids: Sequence[pulumi.Input[str]]
    assign_public_ip: bool

    def __init__(self, deployment: Deployment) -> None:
        super().__init__("run-isolation:index:Network", "network")
        self._deployment = deployment
        config = deployment.config.network
        self.assign_public_ip = config.assign_public_ip
        if config.vpc_id is not None and config.subnet_ids is not None:
            _check_given(deployment, config.vpc_id, config.subnet_ids)
            self.vpc_id, self.subnet_ids = config.vpc_id, config.subnet_ids
        else:
            self._own(config.cidr or DEFAULT_CIDR, config.nat_gateways or 1)
        self.register_outputs({})

    def _own(self, cidr: str, nat_gateways: int) -> None:
        vpc = aws.ec2.Vpc(
            "vpc",
            cidr_block=cidr,
            # Cloud Map's private names need both.
            enable_dns_hostnames=True,
            enable_dns_support=True,
            tags=self._deployment.tags("vpc"),
            opts=self._child(),
        )
        self.vpc_id = vpc.id
        zones = aws.get_availability_zones(
            state="available",
            filters=[{"name": "zone-type", "values": ["availability-zone"]}],
            exclude_zone_ids=ZONES_WITHOUT_FARGATE,
        ).names[:2]
        quarters = [str(block) for block in IPv4Network(cidr).subnets(prefixlen_diff=2)]
        private = self._subnets("private", vpc, zones, quarters[:2])
        public = self._subnets("public", vpc, zones, quarters[2:])
        self.subnet_ids = [subnet.id for subnet in private]

        gateway = aws.ec2.InternetGateway(
            "internet",
            vpc_id=vpc.id,
            tags=self._deployment.tags("internet"),
            opts=self._child(),
        )
        public_routes = self._route_table("public", vpc, public)
        aws.ec2.Route(
            "public-internet",
            route_table_id=public_routes.id,
            destination_cidr_block=ANYWHERE,
            gateway_id=gateway.id,
            opts=self._child(),
        )
        nats = [
            self._nat(number, subnet, gateway)
            for number, subnet in enumerate(public[:nat_gateways], start=1)
        ]
        # A table per zone even with one NAT gateway: a second one then changes only a route.
        tables = [public_routes]
        for number, subnet in enumerate(private, start=1):
            table = self._route_table(f"private-{number}", vpc, [subnet])
            tables.append(table)
            aws.ec2.Route(
                f"private-{number}-internet",
                route_table_id=table.id,
                destination_cidr_block=ANYWHERE,
                nat_gateway_id=nats[min(number, len(nats)) - 1].id,
                opts=self._child(),
            )
        self._endpoints(vpc, tables)

    def _subnets(
        self, kind: str, vpc: aws.ec2.Vpc, zones: Sequence[str], blocks: Sequence[str]
    ) -> list[aws.ec2.Subnet]:
        return [
            aws.ec2.Subnet(
                f"{kind}-{number}",
                vpc_id=vpc.id,
                cidr_block=block,
                availability_zone=zone,
                tags=self._deployment.tags(f"{kind}-{number}"),
                # A zone that AWS opens later must not move the subnets.
                opts=self._child(ignore_changes=["availabilityZone"]),
            )
            for number, (zone, block) in enumerate(zip(zones, blocks, strict=True), start=1)
        ]

    def _route_table(
        self, name: str, vpc: aws.ec2.Vpc, subnets: Sequence[aws.ec2.Subnet]
    ) -> aws.ec2.RouteTable:
        table = aws.ec2.RouteTable(
            name, vpc_id=vpc.id, tags=self._deployment.tags(name), opts=self._child()
        )
        for number, subnet in enumerate(subnets, start=1):
            aws.ec2.RouteTableAssociation(
                f"{name}-{number}" if len(subnets) > 1 else name,
                route_table_id=table.id,
                subnet_id=subnet.id,
                opts=self._child(),
            )
        return table

    def _nat(
        self, number: int, subnet: aws.ec2.Subnet, gateway: aws.ec2.InternetGateway
    ) -> aws.ec2.NatGateway:
        name = f"nat-{number}"
        address = aws.ec2.Eip(
            name, domain="vpc", tags=self._deployment.tags(name), opts=self._child()
        )
        return aws.ec2.NatGateway(
            name,
            allocation_id=address.id,
            subnet_id=subnet.id,
            tags=self._deployment.tags(name),
            opts=self._child(depends_on=[gateway]),
        )

    def _endpoints(self, vpc: aws.ec2.Vpc, tables: Sequence[aws.ec2.RouteTable]) -> None:
        """Gateway endpoints cost nothing; traffic through NAT gateways does."""
        for service in ("s3", "dynamodb"):
            aws.ec2.VpcEndpoint(
                service,
                vpc_id=vpc.id,
                service_name=f"com.amazonaws.{self._deployment.region}.{service}",
                vpc_endpoint_type="Gateway",
                route_table_ids=[table.id for table in tables],
                tags=self._deployment.tags(service),
                opts=self._child(),
            )

    def _child(
        self,
        ignore_changes: list[str] | None = None,
        depends_on: Sequence[pulumi.Resource] | None = None,
    ) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(
            parent=self, ignore_changes=ignore_changes, depends_on=depends_on
        )


def _check_given(deployment: Deployment, vpc_id: str, subnet_ids: Sequence[str]) -> None:
    """Mistakes in the user's network that would show only when tasks start.

    Raises:
        ConfigError: With all of them.
    """
    found = []
    vpc = aws.ec2.get_vpc(id=vpc_id)
    for attribute, on in (
        ("enableDnsSupport", vpc.enable_dns_support),
        ("enableDnsHostnames", vpc.enable_dns_hostnames),
    ):
        if not on:
            found.append(
                Problem(
                    "run-isolation:network.vpcId",
                    vpc_id,
                    f"a VPC with {attribute}, which private names need",
                )
            )
    for number, subnet_id in enumerate(subnet_ids):
        actual = aws.ec2.get_subnet(id=subnet_id).vpc_id
        if actual != vpc_id:
            found.append(
                Problem(
                    f"run-isolation:network.subnetIds.{number}",
                    f"{subnet_id}, of {actual}",
                    f"subnets of {vpc_id}",
                )
            )
    if found:
        raise ConfigError(deployment.name, found)
