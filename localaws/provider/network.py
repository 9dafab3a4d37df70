"""EC2: virtual networks, subnets, gateways and addresses."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from localaws.provider.aws import Aws
from localaws.provider.resource import Handler, from_aws, tag_list, tag_map, to_aws
from localaws.provider.wire import Props


class Ec2Handler(Handler):
    """What EC2's types share: one kind of tags, and a describe call that filters by id."""

    kind: ClassVar[str]
    """EC2's name of the type, as in tag specifications and ARNs."""

    def tag_specification(self, inputs: Props) -> dict[str, Any]:
        """The request field that tags the resource as it is made."""
        if not inputs.get("tags"):
            return {}
        tags = tag_list(inputs["tags"])
        return {"TagSpecifications": [{"ResourceType": self.kind, "Tags": tags}]}

    def common(self, aws: Aws, resource_id: str, found: Mapping[str, Any]) -> Props:
        """The properties that every type of EC2 has."""
        return {
            "arn": aws.arn("ec2", f"{self.kind}/{resource_id}"),
            "tags": tag_map(found.get("Tags")),
        }

    def delete_unused(self, aws: Aws, what: str, delete: Callable[[], object]) -> None:
        """Delete, again while something depends on it, as the real provider does.

        Tasks of deleted services leave their network interfaces a little later:
        https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/ec2/vpc_security_group.go
        (resourceSecurityGroupDelete).

        Raises:
            TimeoutError: Something still does.
        """

        def refusal() -> str | None:
            try:
                delete()
            except ClientError as error:
                if error.response["Error"]["Code"] != "DependencyViolation":
                    raise
                return str(error)
            return None

        aws.wait(f"{what} is not in use", refusal, lambda refused: refused is None)

    def retag(self, aws: Aws, state: Props, removed: list[str], tags: Mapping[str, str]) -> None:
        """Change tags through EC2's own calls."""
        ids = [state["id"]]
        if removed:
            aws.client("ec2").delete_tags(Resources=ids, Tags=[{"Key": key} for key in removed])
        if tags:
            aws.client("ec2").create_tags(Resources=ids, Tags=tag_list(tags))


class Vpc(Ec2Handler):
    """A virtual network."""

    kind = "vpc"
    required = ("cidrBlock",)
    optional = ("enableDnsHostnames", "enableDnsSupport")
    # https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/ec2/vpc_.go
    defaults: ClassVar = {"enableDnsHostnames": False, "enableDnsSupport": True}
    outputs = ("arn", "defaultSecurityGroupId", "mainRouteTableId", "ownerId")
    attributes: ClassVar = {
        "enableDnsHostnames": "EnableDnsHostnames",
        "enableDnsSupport": "EnableDnsSupport",
    }

    def create(self, aws: Aws, inputs: Props) -> str:
        """CreateVpc."""
        answer = aws.client("ec2").create_vpc(
            CidrBlock=inputs["cidrBlock"], **self.tag_specification(inputs)
        )
        return str(answer["Vpc"]["VpcId"])

    def finish(self, aws: Aws, resource_id: str, inputs: Props) -> None:
        """Set the DNS attributes, which CreateVpc does not take."""
        self.update(aws, resource_id, {}, inputs, set(self.attributes))

    def read(self, aws: Aws, resource_id: str, state: Props) -> Props | None:
        """DescribeVpcs and its neighbours."""
        ec2 = aws.client("ec2")
        found = ec2.describe_vpcs(VpcIds=[resource_id])["Vpcs"][0]
        in_vpc = {"Name": "vpc-id", "Values": [resource_id]}
        default = {"Name": "group-name", "Values": ["default"]}
        main = {"Name": "association.main", "Values": ["true"]}
        groups = ec2.describe_security_groups(Filters=[in_vpc, default])["SecurityGroups"]
        tables = ec2.describe_route_tables(Filters=[in_vpc, main])["RouteTables"]
        return {
            **self.common(aws, resource_id, found),
            "cidrBlock": found["CidrBlock"],
            "ownerId": found["OwnerId"],
            "defaultSecurityGroupId": groups[0]["GroupId"] if groups else None,
            "mainRouteTableId": tables[0]["RouteTableId"] if tables else None,
            **self._attributes(ec2, resource_id),
        }

    def _attributes(self, ec2: Any, vpc: str) -> Props:
        return {
            name: ec2.describe_vpc_attribute(VpcId=vpc, Attribute=name)[field]["Value"]
            for name, field in self.attributes.items()
        }

    def update(self, aws: Aws, resource_id: str, old: Props, new: Props, changed: set[str]) -> None:
        """ModifyVpcAttribute, one attribute a call, as EC2 wants."""
        # DNS host names need DNS support, so support goes first.
        for name in ("enableDnsSupport", "enableDnsHostnames"):
            if name in changed:
                aws.client("ec2").modify_vpc_attribute(
                    VpcId=resource_id, **{self.attributes[name]: {"Value": new[name]}}
                )

    def delete(self, aws: Aws, resource_id: str, state: Props) -> None:
        """DeleteVpc."""
        ec2 = aws.client("ec2")
        self.delete_unused(aws, resource_id, lambda: ec2.delete_vpc(VpcId=resource_id))


class Subnet(Ec2Handler):
    """A subnet in one availability zone."""

    kind = "subnet"
    required = ("vpcId", "cidrBlock")
    optional = ("availabilityZone",)
    outputs = ("arn", "availabilityZone", "availabilityZoneId", "ownerId")
    fields: ClassVar = {
        "vpcId": "VpcId",
        "cidrBlock": "CidrBlock",
        "availabilityZone": "AvailabilityZone",
    }

    def create(self, aws: Aws, inputs: Props) -> str:
        """CreateSubnet."""
        request = {**to_aws(self.fields, inputs), **self.tag_specification(inputs)}
        return str(aws.client("ec2").create_subnet(**request)["Subnet"]["SubnetId"])

    def read(self, aws: Aws, resource_id: str, state: Props) -> Props | None:
        """DescribeSubnets."""
        found = aws.client("ec2").describe_subnets(SubnetIds=[resource_id])["Subnets"][0]
        return {
            **self.common(aws, resource_id, found),
            **from_aws(self.fields, found),
            "availabilityZoneId": found.get("AvailabilityZoneId"),
            "ownerId": found["OwnerId"],
        }

    def delete(self, aws: Aws, resource_id: str, state: Props) -> None:
        """DeleteSubnet."""
        ec2 = aws.client("ec2")
        self.delete_unused(aws, resource_id, lambda: ec2.delete_subnet(SubnetId=resource_id))


class InternetGateway(Ec2Handler):
    """A gateway to the internet, attached to a network."""

    kind = "internet-gateway"
    optional = ("vpcId",)
    outputs = ("arn", "ownerId")

    def create(self, aws: Aws, inputs: Props) -> str:
        """CreateInternetGateway."""
        answer = aws.client("ec2").create_internet_gateway(**self.tag_specification(inputs))
        return str(answer["InternetGateway"]["InternetGatewayId"])

    def finish(self, aws: Aws, resource_id: str, inputs: Props) -> None:
        """Attach it."""
        attached = self.read(aws, resource_id, {}) or {}
        self.update(aws, resource_id, attached, inputs, {"vpcId"})

    def read(self, aws: Aws, resource_id: str, state: Props) -> Props | None:
        """DescribeInternetGateways."""
        answer = aws.client("ec2").describe_internet_gateways(InternetGatewayIds=[resource_id])
        found = answer["InternetGateways"][0]
        attachments = found.get("Attachments") or [{}]
        return {
            **self.common(aws, resource_id, found),
            "vpcId": attachments[0].get("VpcId"),
            "ownerId": found.get("OwnerId"),
        }

    def update(self, aws: Aws, resource_id: str, old: Props, new: Props, changed: set[str]) -> None:
        """Move the gateway to another network."""
        ec2 = aws.client("ec2")
        if old.get("vpcId") == new.get("vpcId"):
            return
        if old.get("vpcId"):
            ec2.detach_internet_gateway(InternetGatewayId=resource_id, VpcId=old["vpcId"])
        if new.get("vpcId"):
            ec2.attach_internet_gateway(InternetGatewayId=resource_id, VpcId=new["vpcId"])

    def delete(self, aws: Aws, resource_id: str, state: Props) -> None:
        """Detach, then DeleteInternetGateway."""
        self.update(aws, resource_id, self.read(aws, resource_id, state) or {}, {}, {"vpcId"})
        aws.client("ec2").delete_internet_gateway(InternetGatewayId=resource_id)


class Eip(Ec2Handler):
    """A public address."""

    kind = "elastic-ip"
    optional = ("domain",)
    defaults: ClassVar = {"domain": "vpc"}
    outputs = ("allocationId", "arn", "publicIp")

    def create(self, aws: Aws, inputs: Props) -> str:
        """AllocateAddress."""
        answer = aws.client("ec2").allocate_address(
            Domain=inputs["domain"], **self.tag_specification(inputs)
        )
        return str(answer["AllocationId"])

    def read(self, aws: Aws, resource_id: str, state: Props) -> Props | None:
        """DescribeAddresses."""
        found = aws.client("ec2").describe_addresses(AllocationIds=[resource_id])["Addresses"][0]
        names = {"allocationId": "AllocationId", "publicIp": "PublicIp", "domain": "Domain"}
        return {**self.common(aws, resource_id, found), **from_aws(names, found)}

    def delete(self, aws: Aws, resource_id: str, state: Props) -> None:
        """ReleaseAddress."""
        aws.client("ec2").release_address(AllocationId=resource_id)


class NatGateway(Ec2Handler):
    """A public NAT gateway."""

    kind = "natgateway"
    required = ("subnetId", "allocationId")
    outputs = ("networkInterfaceId", "privateIp", "publicIp")

    def create(self, aws: Aws, inputs: Props) -> str:
        """CreateNatGateway."""
        request = to_aws({"subnetId": "SubnetId", "allocationId": "AllocationId"}, inputs)
        answer = aws.client("ec2").create_nat_gateway(**request, **self.tag_specification(inputs))
        return str(answer["NatGateway"]["NatGatewayId"])

    def finish(self, aws: Aws, resource_id: str, inputs: Props) -> None:
        """Wait until it passes traffic."""
        self._wait(aws, resource_id, "available")

    def read(self, aws: Aws, resource_id: str, state: Props) -> Props | None:
        """DescribeNatGateways. A deleted gateway stays listed for an hour."""
        found = self._describe(aws, resource_id)
        if found["State"] in ("deleted", "deleting"):
            return None
        address = (found.get("NatGatewayAddresses") or [{}])[0]
        names = {
            "allocationId": "AllocationId",
            "networkInterfaceId": "NetworkInterfaceId",
            "privateIp": "PrivateIp",
            "publicIp": "PublicIp",
        }
        tags = tag_map(found.get("Tags"))
        return {**from_aws(names, address), "subnetId": found["SubnetId"], "tags": tags}

    def delete(self, aws: Aws, resource_id: str, state: Props) -> None:
        """DeleteNatGateway, then wait: its address can't be released before."""
        if self._describe(aws, resource_id)["State"] == "deleted":
            return
        aws.client("ec2").delete_nat_gateway(NatGatewayId=resource_id)
        self._wait(aws, resource_id, "deleted")

    def _describe(self, aws: Aws, resource_id: str) -> Any:
        # moto answers an empty list for an unknown id, where EC2 answers an error.
        found = aws.client("ec2").describe_nat_gateways(NatGatewayIds=[resource_id])["NatGateways"]
        return found[0] if found else {"State": "deleted"}

    def _wait(self, aws: Aws, resource_id: str, state: str) -> None:
        aws.wait(
            f"NAT gateway {resource_id} is {state}",
            lambda: self._describe(aws, resource_id)["State"],
            lambda found: bool(found == state),
        )
