"""How code servers are found: by name, in a private DNS zone of the VPC.

Plain A records. Service Connect would not serve the tasks of isolated runs, which no service owns,
and ends gRPC calls after 15 s by default.
"""

from typing import Final

import pulumi
import pulumi_aws as aws

from infra.deployment import Deployment
from infra.network import Network

TTL: Final = 10
"""Seconds for which a client may go on using the address of a container that was replaced."""


class Discovery(pulumi.ComponentResource):
    """The deployment's private DNS domain."""

    namespace_id: pulumi.Output[str]

    def __init__(self, deployment: Deployment, network: Network) -> None:
        super().__init__("run-isolation:index:Discovery", "discovery")
        namespace = aws.servicediscovery.PrivateDnsNamespace(
            "namespace",
            name=deployment.namespace,
            vpc=network.vpc_id,
            description="run-isolation: standing containers of code locations",
            tags=deployment.tags(),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.namespace_id = namespace.id
        self.register_outputs({})
