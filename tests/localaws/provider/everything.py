"""A program with one resource, or more, of every type that the provider makes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pulumi
import pulumi_aws as aws

ASSUME = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": "sts:AssumeRole",
            "Principal": {"Service": "ecs-tasks.amazonaws.com"},
        }
    ],
}


def allow(*actions: str) -> str:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def containers(**changes: Any) -> str:
    container = {
        "name": "main",
        "image": "plain",
        "essential": True,
        "command": ["sh", "-c", "sleep 100"],
        "environment": [{"name": "B", "value": "1"}, {"name": "A", "value": "2"}],
        "portMappings": [{"containerPort": 4000}],
    }
    return json.dumps([container | changes])


class Everything:
    """The program. Pulumi and AWS name each resource after the stack.

    Args:
        prefix: Begins the name of everything in the account.
        changes: Other inputs than usual, by resource; a function gets what was made before.
        without: Resources to leave out.
    """

    def __init__(
        self,
        prefix: str,
        changes: Mapping[str, Mapping[str, Any]] | None = None,
        without: frozenset[str] = frozenset(),
    ) -> None:
        self.prefix = prefix
        self.changes = changes or {}
        self.without = without
        self.made: dict[str, Any] = {}

    def __call__(self) -> None:
        self.made = {}
        self._network()
        self._rules()
        self._access()
        self._tasks()
        self._storage()
        self._bucket()

    def _make(
        self, name: str, make: Callable[..., Any], /, tagged: bool = True, **inputs: Any
    ) -> Any:
        inputs |= {"tags": {"stack": self.prefix}} if tagged else {}
        if name in self.without:
            return None
        for key, value in self.changes.get(name, {}).items():
            inputs[key] = value(self.made) if callable(value) else value
        self.made[name] = make(name, **inputs)
        return self.made[name]

    def _network(self) -> None:
        zones = aws.get_availability_zones(
            state="available",
            filters=[{"name": "zone-type", "values": ["availability-zone"]}],
            exclude_zone_ids=["use1-az1"],
        )
        vpc = self._make("vpc", aws.ec2.Vpc, cidr_block="10.1.0.0/16", enable_dns_hostnames=True)
        make = self._make
        subnet = make(
            "subnet",
            aws.ec2.Subnet,
            vpc_id=vpc.id,
            cidr_block="10.1.1.0/24",
            availability_zone=zones.names[0],
            opts=pulumi.ResourceOptions(ignore_changes=["availabilityZone"]),
        )
        gateway = make("igw", aws.ec2.InternetGateway, vpc_id=vpc.id)
        table = make("rtb", aws.ec2.RouteTable, vpc_id=vpc.id)
        make("rtb2", aws.ec2.RouteTable, vpc_id=vpc.id)
        make(
            "association",
            aws.ec2.RouteTableAssociation,
            tagged=False,
            route_table_id=table.id,
            subnet_id=subnet.id,
        )
        eip = make("eip", aws.ec2.Eip, domain="vpc")
        make("nat", aws.ec2.NatGateway, allocation_id=eip.id, subnet_id=subnet.id)
        make(
            "route",
            aws.ec2.Route,
            tagged=False,
            route_table_id=table.id,
            destination_cidr_block="0.0.0.0/0",
            gateway_id=gateway.id,
        )
        make(
            "endpoint",
            aws.ec2.VpcEndpoint,
            vpc_id=vpc.id,
            service_name="com.amazonaws.us-east-1.dynamodb",
            vpc_endpoint_type="Gateway",
            route_table_ids=[table.id],
        )

    def _rules(self) -> None:
        group = self._make(
            "group",
            aws.ec2.SecurityGroup,
            name=f"{self.prefix}-tasks",
            description="Tasks",
            vpc_id=self.made["vpc"].id,
        )
        # One that a task is in can't be deleted, and so not be replaced: of a name there is one.
        self._make(
            "used",
            aws.ec2.SecurityGroup,
            name=f"{self.prefix}-used",
            description="Tasks that are there",
            vpc_id=self.made["vpc"].id,
        )
        self._make(
            "ingress",
            aws.vpc.SecurityGroupIngressRule,
            security_group_id=group.id,
            referenced_security_group_id=group.id,
            ip_protocol="tcp",
            from_port=4000,
            to_port=4000,
            description="gRPC",
        )
        self._make(
            "egress",
            aws.vpc.SecurityGroupEgressRule,
            security_group_id=group.id,
            ip_protocol="-1",
            cidr_ipv4="10.0.0.0/8",
            description="Inside",
        )

    def _access(self) -> None:
        role = self._make(
            "role",
            aws.iam.Role,
            name=f"{self.prefix}-role",
            description="Runs tasks",
            assume_role_policy=json.dumps(ASSUME),
        )
        self._make(
            "role-policy",
            aws.iam.RolePolicy,
            tagged=False,
            name="tasks",
            role=role.name,
            policy=allow("s3:GetObject"),
        )
        policy = self._make(
            "policy",
            aws.iam.Policy,
            name=f"{self.prefix}-policy",
            description="Launches",
            policy=allow("ecs:RunTask", "ecs:StopTask"),
        )
        self._make(
            "attachment",
            aws.iam.RolePolicyAttachment,
            tagged=False,
            role=role.name,
            policy_arn=policy.arn,
        )

    def _tasks(self) -> None:
        cluster = self._make(
            "cluster",
            aws.ecs.Cluster,
            name=f"{self.prefix}-cluster",
            settings=[{"name": "containerInsights", "value": "enabled"}],
        )
        self._make(
            "providers",
            aws.ecs.ClusterCapacityProviders,
            tagged=False,
            cluster_name=cluster.name,
            capacity_providers=["FARGATE", "FARGATE_SPOT"],
        )
        namespace = self._make(
            "namespace",
            aws.servicediscovery.PrivateDnsNamespace,
            name=f"{self.prefix}.internal",
            vpc=self.made["vpc"].id,
            description="Code servers",
        )
        registry = self._make(
            "registry",
            aws.servicediscovery.Service,
            name="sales",
            description="Sales",
            dns_config={
                "namespace_id": namespace.id,
                "routing_policy": "MULTIVALUE",
                "dns_records": [{"type": "A", "ttl": 10}],
            },
            health_check_custom_config={"failure_threshold": 1},
            force_destroy=True,
        )
        for name, keep in (("task", True), ("dropped", False)):
            self._make(
                name,
                aws.ecs.TaskDefinition,
                family=f"{self.prefix}-{name}",
                container_definitions=containers(),
                cpu="256",
                memory="1024",
                network_mode="awsvpc",
                requires_compatibilities=["FARGATE"],
                execution_role_arn=self.made["role"].arn,
                task_role_arn=self.made["role"].arn,
                runtime_platform={"cpu_architecture": "X86_64", "operating_system_family": "LINUX"},
                ephemeral_storage={"size_in_gib": 30},
                skip_destroy=keep,
            )
        self._make(
            "service",
            aws.ecs.Service,
            name="sales",
            cluster=cluster.arn,
            task_definition=self.made["task"].arn,
            desired_count=1,
            launch_type="FARGATE",
            network_configuration={
                "subnets": [self.made["subnet"].id],
                "security_groups": [self.made["used"].id],
            },
            service_registries={"registry_arn": registry.arn},
            deployment_circuit_breaker={"enable": True, "rollback": True},
            deployment_minimum_healthy_percent=100,
            deployment_maximum_percent=200,
            availability_zone_rebalancing="DISABLED",
            enable_ecs_managed_tags=True,
            enable_execute_command=False,
            propagate_tags="SERVICE",
            wait_for_steady_state=False,
        )

    def _storage(self) -> None:
        table = self._make(
            "table",
            aws.dynamodb.Table,
            name=f"{self.prefix}-slots",
            billing_mode="PAY_PER_REQUEST",
            hash_key="pk",
            attributes=[{"name": "pk", "type": "S"}],
            ttl={"attribute_name": "expires_at", "enabled": True},
            point_in_time_recovery={"enabled": True},
            deletion_protection_enabled=False,
        )
        self._make(
            "item",
            aws.dynamodb.TableItem,
            tagged=False,
            table_name=table.name,
            hash_key=table.hash_key,
            item=json.dumps({"pk": {"S": "settings"}, "limit": {"N": "1"}}),
        )
        self._make(
            "parameter",
            aws.ssm.Parameter,
            name=f"/{self.prefix}/manifest",
            type="String",
            tier="Intelligent-Tiering",
            description="Manifest",
            value='{"version": 1}',
        )
        self._make(
            "logs", aws.cloudwatch.LogGroup, name=f"/{self.prefix}/sales", retention_in_days=30
        )

    def _bucket(self) -> None:
        bucket = self._make(
            "bucket", aws.s3.Bucket, bucket=f"{self.prefix}-compute-logs", force_destroy=True
        )
        self._make(
            "public-access",
            aws.s3.BucketPublicAccessBlock,
            tagged=False,
            bucket=bucket.id,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
        )
        self._make(
            "encryption",
            aws.s3.BucketServerSideEncryptionConfiguration,
            tagged=False,
            bucket=bucket.id,
            rules=[{"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}],
        )
        self._make(
            "bucket-policy",
            aws.s3.BucketPolicy,
            tagged=False,
            bucket=bucket.id,
            policy=bucket.arn.apply(deny_plain),
        )
        self._make(
            "lifecycle",
            aws.s3.BucketLifecycleConfiguration,
            tagged=False,
            bucket=bucket.id,
            rules=[
                {
                    "id": "expire",
                    "status": "Enabled",
                    "filter": {"prefix": ""},
                    "expiration": {"days": 30},
                    "abort_incomplete_multipart_upload": {"days_after_initiation": 7},
                }
            ],
        )


def deny_plain(bucket_arn: str) -> str:
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [bucket_arn, f"{bucket_arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
