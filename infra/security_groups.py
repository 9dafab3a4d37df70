"""Who may talk to whom."""

from typing import Final

import pulumi
import pulumi_aws as aws

from infra.deployment import CODE_SERVER_PORT, CONTROL_PORT, Deployment, Kind
from infra.network import ANYWHERE, Network

CLIENTS: Final = "clients"


class SecurityGroups(pulumi.ComponentResource):
    """Code servers accept only clients; isolated tasks accept nobody.

    Rules are resources of their own: rules inside a group and beside it delete each other
    (https://github.com/pulumi/pulumi-eks/issues/1031). The provider removes the rule that lets
    everything out, so that what may leave is written here.
    """

    clients: aws.ec2.SecurityGroup
    """To be attached to the user's webserver and daemon, beside their own groups."""
    tasks: dict[Kind, aws.ec2.SecurityGroup]

    def __init__(self, deployment: Deployment, network: Network) -> None:
        super().__init__("run-isolation:index:SecurityGroups", "security-groups")
        self._deployment = deployment
        self._network = network
        self.clients = self._group(CLIENTS, "clients of code servers: webserver and daemon")
        self.tasks = {
            Kind.STANDING: self._group(Kind.STANDING, "standing containers of code locations"),
            Kind.ISOLATED: self._group(Kind.ISOLATED, "tasks of isolated runs"),
        }
        self._code_servers()
        for kind, group in self.tasks.items():
            self._anywhere(kind, group)
        self.register_outputs({})

    def _group(self, name: str, what: str) -> aws.ec2.SecurityGroup:
        return aws.ec2.SecurityGroup(
            name,
            name=f"{self._deployment.prefix}-{name}",
            # Another description would replace the group.
            description=f"run-isolation: {what}",
            vpc_id=self._network.vpc_id,
            tags=self._deployment.tags(name),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _code_servers(self) -> None:
        standing = self.tasks[Kind.STANDING]
        aws.vpc.SecurityGroupIngressRule(
            "standing-from-clients",
            security_group_id=standing.id,
            referenced_security_group_id=self.clients.id,
            ip_protocol="tcp",
            from_port=CODE_SERVER_PORT,
            to_port=CONTROL_PORT,
            description="gRPC of code servers",
            tags=self._deployment.tags("standing-from-clients"),
            opts=pulumi.ResourceOptions(parent=self),
        )
        aws.vpc.SecurityGroupEgressRule(
            "clients-to-standing",
            security_group_id=self.clients.id,
            referenced_security_group_id=standing.id,
            ip_protocol="tcp",
            from_port=CODE_SERVER_PORT,
            to_port=CONTROL_PORT,
            description="gRPC of code servers",
            tags=self._deployment.tags("clients-to-standing"),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _anywhere(self, kind: Kind, group: aws.ec2.SecurityGroup) -> None:
        """User code reads and writes anywhere: databases, APIs, AWS."""
        aws.vpc.SecurityGroupEgressRule(
            f"{kind}-to-anywhere",
            security_group_id=group.id,
            cidr_ipv4=ANYWHERE,
            ip_protocol="-1",
            description="whatever the code of the user needs",
            tags=self._deployment.tags(f"{kind}-to-anywhere"),
            opts=pulumi.ResourceOptions(parent=self),
        )
