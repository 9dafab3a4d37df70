"""The manifest: what the runtime needs to know about the deployment.

Its schema is the runtime's (``run_isolation.manifest``), the one thing that both sides share.
"""

from collections.abc import Sequence
from typing import Final

import pulumi
import pulumi_aws as aws

from infra import instance_document, limits
from infra.config import Problem
from infra.deployment import CODE_SERVER_PORT, Deployment, Kind
from infra.network import Network
from infra.security_groups import SecurityGroups
from infra.slot_table import SlotTable
from run_isolation import manifest

VALUE_LIMIT: Final = 8192
"""Bytes of an advanced parameter; a standard one has 4,096
(https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html)."""

_SUBNET_ID: Final = f"subnet-{'0' * 17}"
_GROUP_ID: Final = f"sg-{'0' * 17}"


class ManifestParameter(pulumi.ComponentResource):
    """The manifest as an SSM parameter."""

    value: pulumi.Output[str]
    parameter: aws.ssm.Parameter

    def __init__(
        self,
        deployment: Deployment,
        network: Network,
        groups: SecurityGroups,
        table: SlotTable,
    ) -> None:
        super().__init__("run-isolation:index:Manifest", "manifest")
        isolated = groups.tasks[Kind.ISOLATED].id
        ids = {"group": isolated, "clients": groups.clients.id, "subnets": network.subnet_ids}
        self.value = pulumi.Output.all(**ids).apply(
            lambda ids: render(deployment, ids["subnets"], ids["group"], ids["clients"])
        )
        self.parameter = aws.ssm.Parameter(
            "manifest",
            name=deployment.manifest_parameter,
            description="run-isolation: the deployment, for its webserver, daemon and tasks",
            type="String",
            # Standard, and free, up to 4 KB; advanced above.
            tier="Intelligent-Tiering",
            value=self.value,
            tags=deployment.tags(),
            # It names a version, which has to be there.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[table.instance]),
        )
        self.register_outputs({})


def render(
    deployment: Deployment, subnets: Sequence[str], security_group: str, clients_group: str
) -> str:
    """The manifest's text.

    Args:
        deployment: The deployment.
        subnets: Ids of the subnets of isolated tasks.
        security_group: Id of the security group of isolated tasks.
        clients_group: Id of that of webserver and daemon.
    """
    config = deployment.config
    return manifest.Manifest(
        deployment=deployment.name,
        account=deployment.account,
        region=deployment.region,
        cluster=deployment.cluster_arn,
        table=deployment.table,
        network=manifest.Network(
            subnets=list(subnets),
            security_groups=[security_group],
            assign_public_ip=config.network.assign_public_ip,
            clients_group=clients_group,
        ),
        instance_version=instance_document.render(deployment).version,
        propagate_tags=config.propagate_tags,
        isolate_on_out_of_memory=config.isolate_on_out_of_memory,
        locations={name: _location(deployment, name) for name in config.code_locations},
    ).to_json()


def size_problems(deployment: Deployment) -> list[Problem]:
    """Whether the manifest fits into a parameter: known before anything is created.

    Ids that AWS gives have a fixed length.
    """
    subnets = deployment.config.network.subnet_ids or [_SUBNET_ID] * 2
    return limits.problem(
        deployment,
        lambda one: len(render(one, subnets, _GROUP_ID, _GROUP_ID).encode()),
        VALUE_LIMIT,
        "a manifest of {size} bytes",
        f"a manifest of up to {VALUE_LIMIT} bytes, the most that an SSM parameter holds",
    )


def _location(deployment: Deployment, name: str) -> manifest.Location:
    config = deployment.config.code_locations[name]
    return manifest.Location(
        host=deployment.host(name),
        port=CODE_SERVER_PORT,
        standing=manifest.Size(cpu=config.standing.cpu, memory=config.standing.memory),
        isolated=manifest.Size(cpu=config.isolated.cpu, memory=config.isolated.memory),
        largest=manifest.Size(
            cpu=config.isolated.largest.cpu, memory=config.isolated.largest.memory
        ),
        spot=config.isolated.spot,
        log_group=deployment.log_group(name),
        location_name=config.location_name if config.location_name != name else None,
    )
