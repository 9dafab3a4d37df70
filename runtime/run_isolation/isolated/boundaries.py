"""What a run of a code location can't have because it is another's: roles, networks, code.

A run's tags are its code location's words, and its task definition is what the code server has
advertised. Both are carried out by launchers, who may do for each location what it alone may have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from run_isolation import tag_names
from run_isolation.errors import ForeignTaskDefinitionError
from run_isolation.isolated.ecs_tag_models import RunTaskArguments
from run_isolation.isolated.task_sizes import Report
from run_isolation.manifest import Manifest, Network
from run_isolation.problem import Problem

ROLES: Final = {"taskRoleArn": "isolated", "executionRoleArn": "execution"}
"""Overrides of the task, and what the code location's own role for each is called."""


@dataclass(frozen=True)
class Boundaries:
    """Those of one code location, by the names that ``infra/deployment.py`` gives."""

    deployment: str
    """What the names of the deployment's roles and families begin with."""
    key: str
    """What the stack's config calls the code location."""
    network: Network

    @classmethod
    def of(cls, manifest: Manifest, location: str) -> Self:
        """Those of the code location that Dagster knows by this name."""
        deployment = f"run-isolation-{manifest.deployment}-"
        return cls(deployment, manifest.key(location), manifest.network)

    def own(self, actor: str) -> str:
        """Name of the location's own role, or task definition family."""
        return f"{self.deployment}{self.key}-{actor}"

    def check_roles(self, roles: Mapping[str, str], report: Report) -> None:
        """Reports roles of the deployment that are not the code location's own."""
        for name, arn in roles.items():
            # IAM's names are the same in any case. A role may be named without its ARN.
            role, own = arn.rsplit("/", 1)[-1], self.own(ROLES[name])
            if role.lower().startswith(self.deployment.lower()) and role != own:
                report(
                    Problem(
                        f"{tag_names.ECS_TASK_OVERRIDES}.{name}",
                        arn,
                        f"{own}, or a role of yours that is none of the deployment's "
                        f"({self.deployment}*)",
                        arn.removesuffix(role) + own,
                    )
                )

    def check_network(self, arguments: RunTaskArguments, report: Report) -> None:
        """Reports the group of webserver and daemon, and addresses that the deployment hasn't."""
        given = arguments.network_configuration
        if given is None:
            return
        key = f"{tag_names.ECS_RUN_TASK_KWARGS}.networkConfiguration.awsvpcConfiguration"
        vpc = given.awsvpc_configuration
        if vpc.assign_public_ip == "ENABLED" and not self.network.assign_public_ip:
            allowed = "DISABLED: tasks of this deployment have no public addresses"
            report(Problem(f"{key}.assignPublicIp", "ENABLED", allowed, "DISABLED"))
        if refused := self._foreign(vpc.security_groups or ()):
            allowed = (
                "any group but that of webserver and daemon, which opens the ports of every "
                "standing container"
                if self.network.clients_group
                else f"{', '.join(self.network.security_groups)}, until `pulumi up` of this "
                "release has said which group is that of webserver and daemon"
            )
            report(Problem(f"{key}.securityGroups", ", ".join(refused), allowed))

    def check_task_definition(self, run_id: str, arn: str) -> None:
        """Refuses a task definition of another code location.

        Raises:
            ForeignTaskDefinitionError: It is none of the location's isolated runs.
        """
        family, own = arn.rsplit("/", 1)[-1].split(":")[0], self.own("isolated")
        if family != own:
            raise ForeignTaskDefinitionError(run_id, arn, own)

    def _foreign(self, groups: Sequence[str]) -> list[str]:
        clients = self.network.clients_group
        if clients:
            return [group for group in groups if group == clients]
        return [group for group in groups if group not in self.network.security_groups]
