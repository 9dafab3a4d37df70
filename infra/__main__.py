"""The Pulumi program: one stack is one deployment."""

from pathlib import Path

import pulumi
import pulumi_aws as aws
from pulumi.runtime import config as pulumi_config

from infra import policy_sizes
from infra.access import LauncherAccess
from infra.cluster import Cluster
from infra.code_location import CodeLocation
from infra.config import ConfigError, parse
from infra.deployment import OUTPUTS, PROJECT, Deployment, Kind
from infra.discovery import Discovery
from infra.engine_version import require_engine
from infra.hooks.hooks import Hooks
from infra.last_step import RolledOut
from infra.manifest import ManifestParameter, size_problems
from infra.network import Network
from infra.private_bucket import own_buckets
from infra.security_groups import SecurityGroups
from infra.slot_table import SlotTable

require_engine()


def read_deployment() -> Deployment:
    """The stack's config, checked.

    Raises:
        ConfigError: With everything that is wrong.
    """
    account = aws.get_caller_identity().account_id
    raw = pulumi_config.CONFIG.get()
    secret = frozenset(key for key in raw if pulumi_config.is_config_secret(key))
    name = pulumi.get_stack()
    deployment = Deployment(
        name=name,
        account=account,
        region=aws.get_region().region,
        partition=aws.get_partition().partition,
        config=parse(
            raw, deployment=name, account=account, secret=secret, directory=config_directory()
        ),
    )
    found = size_problems(deployment) + policy_sizes.problems(deployment)
    if found:
        raise ConfigError(name, found)
    return deployment


def config_directory() -> Path:
    """Where the stack's config file is: ``stackConfigDir`` of Pulumi.yaml."""
    return Path(pulumi.runtime.get_root_directory() or PROJECT) / "stacks"


def provision(deployment: Deployment) -> None:
    """Declares everything that the deployment has."""
    hooks = Hooks.of(deployment)
    network = Network(deployment)
    groups = SecurityGroups(deployment, network)
    cluster = Cluster(deployment)
    discovery = Discovery(deployment, network)
    table = SlotTable(deployment, hooks)
    buckets = own_buckets(deployment)
    manifest = ManifestParameter(deployment, network, groups, table)
    locations = {
        name: CodeLocation(
            deployment,
            name,
            network=network,
            groups=groups,
            cluster=cluster,
            discovery=discovery,
            table=table,
            hooks=hooks,
        )
        for name in sorted(deployment.config.code_locations)
    }
    launcher = LauncherAccess(deployment)
    RolledOut(
        hooks,
        deployment.cluster_arn,
        {name: location.service for name, location in locations.items()},
        after=[*buckets, table.settings, table.instance, manifest.parameter, *launcher.policies],
    )

    pulumi.export("manifest", manifest.value)
    pulumi.export("manifestParameter", deployment.manifest_parameter)
    pulumi.export("cluster", cluster.arn)
    pulumi.export("table", table.name)
    pulumi.export("launcherPolicyArns", [policy.arn for policy in launcher.policies])
    pulumi.export("clientSecurityGroup", groups.clients.id)
    pulumi.export("vpc", network.vpc_id)
    pulumi.export("subnets", network.subnet_ids)
    pulumi.export("computeLogsBucket", deployment.compute_logs_bucket)
    pulumi.export("outputsBucket", deployment.bucket(OUTPUTS, deployment.config.instance.io))
    pulumi.export(
        "codeLocations",
        {
            name: {
                "host": deployment.host(name),
                "service": location.service.arn,
                "standingTaskDefinition": location.task_definitions[Kind.STANDING].arn,
                "isolatedTaskDefinition": location.task_definitions[Kind.ISOLATED].arn,
            }
            for name, location in locations.items()
        },
    )


try:
    provision(read_deployment())
except ConfigError as error:
    raise pulumi.RunError(str(error)) from None
