"""One code location: its standing container, and what its isolated runs are made from."""

import pulumi
import pulumi_aws as aws

from infra import containers
from infra.access import LocationAccess
from infra.cluster import Cluster
from infra.deployment import EXECUTION, Deployment, Kind
from infra.discovery import TTL, Discovery
from infra.hooks.hooks import Hooks
from infra.network import Network
from infra.observability import LocationLogs
from infra.security_groups import SecurityGroups
from infra.slot_table import SlotTable


class CodeLocation(pulumi.ComponentResource):
    """A standing service, and the task definition of isolated runs."""

    task_definitions: dict[Kind, aws.ecs.TaskDefinition]
    service: aws.ecs.Service

    def __init__(
        self,
        deployment: Deployment,
        location: str,
        *,
        network: Network,
        groups: SecurityGroups,
        cluster: Cluster,
        discovery: Discovery,
        table: SlotTable,
        hooks: Hooks,
    ) -> None:
        super().__init__("run-isolation:index:CodeLocation", location)
        self._deployment = deployment
        self._location = location
        self._config = deployment.config.code_locations[location]
        child = pulumi.ResourceOptions(parent=self)
        self._access = LocationAccess(deployment, location, opts=child)
        self._logs = LocationLogs(deployment, location, hooks, opts=child)
        isolated = self._task_definition(Kind.ISOLATED, containers.isolated(deployment, location))
        standing = self._task_definition(
            Kind.STANDING,
            isolated.arn.apply(lambda arn: containers.standing(deployment, location, arn)),
        )
        self.task_definitions = {Kind.STANDING: standing, Kind.ISOLATED: isolated}
        # Before a container that uses the table's newest version of the instance.
        needed = [network, groups, self._access, table.instance]
        self.service = self._service(network, groups, cluster, discovery, hooks, needed)
        hooks.has_answered(self.service)
        self.register_outputs({})

    def _task_definition(
        self, kind: Kind, container_definitions: pulumi.Input[str]
    ) -> aws.ecs.TaskDefinition:
        size = self._config.standing if kind is Kind.STANDING else self._config.isolated
        storage = self._config.isolated.ephemeral_storage if kind is Kind.ISOLATED else None
        return aws.ecs.TaskDefinition(
            f"{self._location}-{kind}",
            family=self._deployment.family(self._location, kind),
            container_definitions=container_definitions,
            cpu=str(size.cpu),
            memory=str(size.memory),
            ephemeral_storage={"size_in_gib": storage} if storage is not None else None,
            requires_compatibilities=["FARGATE"],
            network_mode="awsvpc",
            runtime_platform={
                "cpu_architecture": self._config.architecture,
                "operating_system_family": "LINUX",
            },
            execution_role_arn=self._access.roles[EXECUTION].arn,
            task_role_arn=self._access.roles[kind].arn,
            # infra/hooks/old_revisions.py says why, and deletes them in the end.
            skip_destroy=True,
            tags=self._deployment.tags(location=self._location),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[self._logs]),
        )

    def _registry(self, discovery: Discovery) -> aws.servicediscovery.Service:
        return aws.servicediscovery.Service(
            self._location,
            name=self._deployment.host(self._location).partition(".")[0],
            description=f"run-isolation: standing containers of code location {self._location}",
            dns_config={
                "namespace_id": discovery.namespace_id,
                "routing_policy": "MULTIVALUE",
                "dns_records": [{"type": "A", "ttl": TTL}],
            },
            # Else the name leads to a container from before it has started. Not `{}`, which the
            # provider forgets and then wants to replace:
            # https://github.com/hashicorp/terraform-provider-aws/issues/44285
            health_check_custom_config={"failure_threshold": 1},
            # Whatever ECS has not yet taken out must not halt `pulumi destroy`.
            force_destroy=True,
            tags=self._deployment.tags(location=self._location),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _service(
        self,
        network: Network,
        groups: SecurityGroups,
        cluster: Cluster,
        discovery: Discovery,
        hooks: Hooks,
        needed: list[pulumi.Resource],
    ) -> aws.ecs.Service:
        return aws.ecs.Service(
            self._location,
            name=self._location,
            cluster=cluster.arn,
            task_definition=self.task_definitions[Kind.STANDING].arn,
            desired_count=1,
            launch_type="FARGATE",
            network_configuration=aws.ecs.ServiceNetworkConfigurationArgs(
                subnets=network.subnet_ids,
                security_groups=[groups.tasks[Kind.STANDING].id],
                assign_public_ip=network.assign_public_ip,
            ),
            service_registries={"registry_arn": self._registry(discovery).arn},
            deployment_circuit_breaker={"enable": True, "rollback": True},
            # The new container comes up beside the old one, which goes when it is healthy.
            deployment_minimum_healthy_percent=100,
            deployment_maximum_percent=200,
            # Would stop a container to move it, and one container is balanced anyhow.
            availability_zone_rebalancing="DISABLED",
            enable_ecs_managed_tags=True,
            propagate_tags="SERVICE",
            enable_execute_command=False,
            # infra/last_step.py waits instead, for all at once, and says why not.
            wait_for_steady_state=False,
            tags=self._deployment.tags(location=self._location),
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=needed,
                # Of its name there is one. Where Pulumi is told to replace it (`--replace`, taint),
                # the hook would take the living one for a leftover.
                delete_before_replace=True,
                hooks=pulumi.ResourceHookBinding(
                    before_create=[hooks.remove_leftover],
                    before_delete=[hooks.refuse_while_in_use],
                    after_create=[hooks.note_rollout],
                    after_update=[hooks.note_rollout],
                ),
            ),
        )
