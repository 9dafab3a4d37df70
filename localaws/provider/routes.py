"""EC2: route tables, their routes, the subnets that use them, and gateway endpoints."""

from typing import Any, ClassVar

from localaws.provider.aws import Aws
from localaws.provider.network import Ec2Handler
from localaws.provider.resource import Handler, from_aws, to_aws
from localaws.provider.same_value import unordered
from localaws.provider.wire import Props


class RouteTable(Ec2Handler):
    """A route table; its routes are resources of their own."""

    kind = "route-table"
    required = ("vpcId",)
    outputs = ("arn", "ownerId")

    def create(self, aws: Aws, inputs: Props) -> str:
        """CreateRouteTable."""
        answer = aws.client("ec2").create_route_table(
            VpcId=inputs["vpcId"], **self.tag_specification(inputs)
        )
        return str(answer["RouteTable"]["RouteTableId"])

    def read(self, aws: Aws, resource_id: str, state: Props) -> Props | None:
        """DescribeRouteTables."""
        found = describe_table(aws, resource_id)
        return {
            **self.common(aws, resource_id, found),
            "vpcId": found["VpcId"],
            "ownerId": found.get("OwnerId"),
        }

    def delete(self, aws: Aws, resource_id: str, state: Props) -> None:
        """DeleteRouteTable."""
        aws.client("ec2").delete_route_table(RouteTableId=resource_id)


class Route(Handler):
    """One IPv4 route through an internet or a NAT gateway. Its id is `<table>_<destination>`."""

    required = ("routeTableId", "destinationCidrBlock")
    optional = ("gatewayId", "natGatewayId")
    outputs = ("origin", "state")
    tagged = False
    key: ClassVar = {
        "routeTableId": "RouteTableId",
        "destinationCidrBlock": "DestinationCidrBlock",
    }
    target: ClassVar = {"gatewayId": "GatewayId", "natGatewayId": "NatGatewayId"}

    def create(self, aws: Aws, inputs: Props) -> str:
        """CreateRoute."""
        aws.client("ec2").create_route(**to_aws({**self.key, **self.target}, inputs))
        return f"{inputs['routeTableId']}_{inputs['destinationCidrBlock']}"

    def read(self, aws: Aws, resource_id: str, state: Props) -> Props | None:
        """Find the destination in its table."""
        table, destination = resource_id.split("_", 1)
        for route in describe_table(aws, table)["Routes"]:
            if route.get("DestinationCidrBlock") == destination:
                names = {**self.target, "origin": "Origin", "state": "State"}
                key = {"routeTableId": table, "destinationCidrBlock": destination}
                return {**key, **from_aws(names, route)}
        return None

    def update(self, aws: Aws, resource_id: str, old: Props, new: Props, changed: set[str]) -> None:
        """ReplaceRoute: another target for the same destination."""
        aws.client("ec2").replace_route(**to_aws({**self.key, **self.target}, new))

    def delete(self, aws: Aws, resource_id: str, state: Props) -> None:
        """DeleteRoute."""
        table, destination = resource_id.split("_", 1)
        aws.client("ec2").delete_route(RouteTableId=table, DestinationCidrBlock=destination)


class RouteTableAssociation(Handler):
    """The route table of a subnet.

    Its id is the subnet's: EC2 gives the association a new id when the table changes.
    """

    required = ("routeTableId", "subnetId")
    tagged = False

    def create(self, aws: Aws, inputs: Props) -> str:
        """AssociateRouteTable."""
        aws.client("ec2").associate_route_table(
            RouteTableId=inputs["routeTableId"], SubnetId=inputs["subnetId"]
        )
        return str(inputs["subnetId"])

    def read(self, aws: Aws, resource_id: str, state: Props) -> Props | None:
        """Find the association by its subnet."""
        found = self._find(aws, resource_id)
        return found and {"routeTableId": found["RouteTableId"], "subnetId": found["SubnetId"]}

    def update(self, aws: Aws, resource_id: str, old: Props, new: Props, changed: set[str]) -> None:
        """ReplaceRouteTableAssociation."""
        found = self._find(aws, resource_id)
        if found is None:
            raise LookupError(f"The subnet {resource_id} has no route table of its own any more.")
        aws.client("ec2").replace_route_table_association(
            AssociationId=found["RouteTableAssociationId"], RouteTableId=new["routeTableId"]
        )

    def delete(self, aws: Aws, resource_id: str, state: Props) -> None:
        """DisassociateRouteTable."""
        if found := self._find(aws, resource_id):
            aws.client("ec2").disassociate_route_table(
                AssociationId=found["RouteTableAssociationId"]
            )

    def _find(self, aws: Aws, subnet: str) -> Any:
        by_subnet = [{"Name": "association.subnet-id", "Values": [subnet]}]
        for table in aws.client("ec2").describe_route_tables(Filters=by_subnet)["RouteTables"]:
            for association in table["Associations"]:
                if association.get("SubnetId") == subnet:
                    return association
        return None


class VpcEndpoint(Ec2Handler):
    """A gateway endpoint: a route to S3 or DynamoDB that stays inside AWS."""

    kind = "vpc-endpoint"
    required = ("vpcId", "serviceName")
    optional = ("vpcEndpointType", "routeTableIds")
    defaults: ClassVar = {"vpcEndpointType": "Gateway"}
    outputs = ("arn", "state")
    same: ClassVar = {"routeTableIds": unordered}
    fields: ClassVar = {
        "vpcId": "VpcId",
        "serviceName": "ServiceName",
        "vpcEndpointType": "VpcEndpointType",
        "routeTableIds": "RouteTableIds",
    }

    def create(self, aws: Aws, inputs: Props) -> str:
        """CreateVpcEndpoint."""
        request = {**to_aws(self.fields, inputs), **self.tag_specification(inputs)}
        answer = aws.client("ec2").create_vpc_endpoint(**request)
        return str(answer["VpcEndpoint"]["VpcEndpointId"])

    def read(self, aws: Aws, resource_id: str, state: Props) -> Props | None:
        """DescribeVpcEndpoints."""
        answer = aws.client("ec2").describe_vpc_endpoints(VpcEndpointIds=[resource_id])
        found = answer["VpcEndpoints"][0]
        if found["State"].lower() in ("deleted", "deleting"):
            return None
        return {
            **self.common(aws, resource_id, found),
            **from_aws(self.fields, found),
            "state": found["State"],
        }

    def update(self, aws: Aws, resource_id: str, old: Props, new: Props, changed: set[str]) -> None:
        """ModifyVpcEndpoint with the route tables that come and go."""
        before, after = set(old.get("routeTableIds", [])), set(new.get("routeTableIds", []))
        names = {"AddRouteTableIds": after - before, "RemoveRouteTableIds": before - after}
        request = {name: sorted(tables) for name, tables in names.items() if tables}
        aws.client("ec2").modify_vpc_endpoint(VpcEndpointId=resource_id, **request)

    def delete(self, aws: Aws, resource_id: str, state: Props) -> None:
        """DeleteVpcEndpoints."""
        aws.client("ec2").delete_vpc_endpoints(VpcEndpointIds=[resource_id])


def describe_table(aws: Aws, table: str) -> Any:
    """The route table with this id."""
    return aws.client("ec2").describe_route_tables(RouteTableIds=[table])["RouteTables"][0]
