"""The table: every resource type that the stand-in provider makes, and what replaces one.

A property is listed under `forces_new` when the real provider can't change it in place. The claim's
source is the schema in the named file of terraform-provider-aws, which the real provider wraps
(`ForceNew: true`, or `RequiresReplace()` in its newer files). A dotted path is a field inside
a block; a name with `?` replaces only where the property comes or goes.
"""

from localaws.provider import (
    discovery,
    dynamodb,
    ecs,
    ecs_service,
    iam,
    logs,
    network,
    routes,
    s3,
    security_groups,
    ssm,
    table_item,
    task_definition,
)
from localaws.provider.resource import Handler, ResourceType

_TERRAFORM = "https://github.com/hashicorp/terraform-provider-aws/blob/main/internal"
_REGION = f"{_TERRAFORM}/provider/sdkv2/region.go"
"""Any resource moves to another region by replacement (forceNewIfRegionChanges)."""


def _row(
    token: str, handler: Handler, file: str, forces_new: str, name: str | None = None
) -> ResourceType:
    source = f"{_TERRAFORM}/service/{file}"
    replaces = dict.fromkeys(forces_new.split(), source)
    if handler.regional:
        replaces["region"] = _REGION
    return ResourceType(f"aws:{token}", handler, replaces, name)


_ROWS = [
    _row("ec2/vpc:Vpc", network.Vpc(), "ec2/vpc_.go", forces_new="cidrBlock"),
    _row(
        "ec2/subnet:Subnet",
        network.Subnet(),
        "ec2/vpc_subnet.go",
        forces_new="availabilityZone cidrBlock vpcId",
    ),
    _row(
        "ec2/internetGateway:InternetGateway",
        network.InternetGateway(),
        "ec2/vpc_internet_gateway.go",
        forces_new="",
    ),
    _row("ec2/eip:Eip", network.Eip(), "ec2/ec2_eip.go", forces_new="domain"),
    _row(
        "ec2/natGateway:NatGateway",
        network.NatGateway(),
        "ec2/vpc_nat_gateway.go",
        forces_new="allocationId subnetId",
    ),
    _row(
        "ec2/vpcEndpoint:VpcEndpoint",
        routes.VpcEndpoint(),
        "ec2/vpc_endpoint.go",
        forces_new="serviceName vpcEndpointType vpcId",
    ),
    _row(
        "ec2/routeTable:RouteTable",
        routes.RouteTable(),
        "ec2/vpc_route_table.go",
        forces_new="vpcId",
    ),
    _row(
        "ec2/route:Route",
        routes.Route(),
        "ec2/vpc_route.go",
        forces_new="destinationCidrBlock routeTableId",
    ),
    _row(
        "ec2/routeTableAssociation:RouteTableAssociation",
        routes.RouteTableAssociation(),
        "ec2/vpc_route_table_association.go",
        forces_new="subnetId",
    ),
    _row(
        "ec2/securityGroup:SecurityGroup",
        security_groups.SecurityGroup(),
        "ec2/vpc_security_group.go",
        forces_new="description name vpcId",
        name="name",
    ),
    _row(
        "vpc/securityGroupIngressRule:SecurityGroupIngressRule",
        security_groups.IngressRule(),
        "ec2/vpc_security_group_ingress_rule.go",
        forces_new="securityGroupId cidrIpv4? referencedSecurityGroupId?",
    ),
    _row(
        "vpc/securityGroupEgressRule:SecurityGroupEgressRule",
        security_groups.EgressRule(),
        "ec2/vpc_security_group_egress_rule.go",
        forces_new="securityGroupId cidrIpv4? referencedSecurityGroupId?",
    ),
    _row("ecs/cluster:Cluster", ecs.Cluster(), "ecs/cluster.go", forces_new="name", name="name"),
    _row(
        "ecs/clusterCapacityProviders:ClusterCapacityProviders",
        ecs.ClusterCapacityProviders(),
        "ecs/cluster_capacity_providers.go",
        forces_new="clusterName",
        name="clusterName",
    ),
    _row(
        "ecs/taskDefinition:TaskDefinition",
        task_definition.TaskDefinition(),
        "ecs/task_definition.go",
        forces_new="containerDefinitions cpu ephemeralStorage executionRoleArn family memory "
        "networkMode requiresCompatibilities runtimePlatform taskRoleArn",
    ),
    _row(
        "ecs/service:Service",
        ecs_service.Service(),
        "ecs/service.go",
        forces_new="cluster launchType name",
        name="name",
    ),
    _row(
        "servicediscovery/privateDnsNamespace:PrivateDnsNamespace",
        discovery.PrivateDnsNamespace(),
        "servicediscovery/private_dns_namespace.go",
        forces_new="name vpc",
        name="name",
    ),
    _row(
        "servicediscovery/service:Service",
        discovery.Service(),
        "servicediscovery/service.go",
        forces_new="dnsConfig.dnsRecords.type dnsConfig.namespaceId dnsConfig.routingPolicy "
        "healthCheckCustomConfig name",
        name="name",
    ),
    _row(
        "dynamodb/table:Table",
        dynamodb.Table(),
        "dynamodb/table.go",
        forces_new="hashKey name",
        name="name",
    ),
    _row(
        "dynamodb/tableItem:TableItem",
        table_item.TableItem(),
        "dynamodb/table_item.go",
        forces_new="hashKey tableName",
    ),
    _row(
        "ssm/parameter:Parameter",
        ssm.Parameter(),
        "ssm/parameter.go",
        forces_new="name",
        name="name",
    ),
    _row(
        "cloudwatch/logGroup:LogGroup",
        logs.LogGroup(),
        "logs/group.go",
        forces_new="name",
        name="name",
    ),
    _row("iam/role:Role", iam.Role(), "iam/role.go", forces_new="name", name="name"),
    _row(
        "iam/rolePolicy:RolePolicy",
        iam.RolePolicy(),
        "iam/role_policy.go",
        forces_new="name role",
        name="name",
    ),
    _row(
        "iam/rolePolicyAttachment:RolePolicyAttachment",
        iam.RolePolicyAttachment(),
        "iam/role_policy_attachment.go",
        forces_new="policyArn role",
    ),
    _row(
        "iam/policy:Policy",
        iam.Policy(),
        "iam/policy.go",
        forces_new="description name",
        name="name",
    ),
    _row("s3/bucket:Bucket", s3.Bucket(), "s3/bucket.go", forces_new="bucket", name="bucket"),
    _row(
        "s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        s3.BucketPublicAccessBlock(),
        "s3/bucket_public_access_block.go",
        forces_new="bucket",
    ),
    _row(
        "s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        s3.BucketServerSideEncryptionConfiguration(),
        "s3/bucket_server_side_encryption_configuration.go",
        forces_new="bucket",
    ),
    _row(
        "s3/bucketPolicy:BucketPolicy",
        s3.BucketPolicy(),
        "s3/bucket_policy.go",
        forces_new="bucket",
    ),
    _row(
        "s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
        s3.BucketLifecycleConfiguration(),
        "s3/bucket_lifecycle_configuration.go",
        forces_new="bucket",
    ),
]

TYPES = {row.token: row for row in _ROWS}
"""Each type by its Pulumi token."""


def type_of(token: str) -> ResourceType:
    """The type with this token.

    Raises:
        LookupError: The stand-in does not make it.
    """
    if token not in TYPES:
        raise LookupError(
            f"The local account's stand-in provider does not make {token}. It makes: "
            f"{', '.join(sorted(TYPES))}. Add a row to localaws/provider/resource_types.py for "
            "another."
        )
    return TYPES[token]
