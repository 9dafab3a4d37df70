"""Roles and policies: who may do what. The statements are in ``infra/policy_statements.py``."""

import pulumi
import pulumi_aws as aws

from infra import policy_statements
from infra.deployment import EXECUTION, Deployment, Kind
from infra.statement_builders import Statement, document


class LocationAccess(pulumi.ComponentResource):
    """The three roles of one code location."""

    roles: dict[str, aws.iam.Role]
    """By actor: the two kinds of tasks, and ``execution``."""

    def __init__(self, deployment: Deployment, location: str, opts: pulumi.ResourceOptions) -> None:
        super().__init__("run-isolation:index:LocationAccess", location, opts=opts)
        self._deployment = deployment
        self._location = location
        self.roles = {
            Kind.STANDING: self._role(
                Kind.STANDING, policy_statements.standing(deployment, location)
            ),
            Kind.ISOLATED: self._role(
                Kind.ISOLATED, policy_statements.isolated(deployment, location)
            ),
            EXECUTION: self._role(EXECUTION, policy_statements.execution(deployment, location)),
        }
        for kind in Kind:
            self._attach(kind)
        self.register_outputs({})

    def _role(self, actor: str, statements: list[Statement]) -> aws.iam.Role:
        name = self._deployment.role(self._location, actor)
        role = aws.iam.Role(
            f"{self._location}-{actor}",
            name=name,
            description=f"run-isolation: {actor} role of code location {self._location}",
            assume_role_policy=document(policy_statements.trust(self._deployment)),
            tags=self._deployment.tags(location=self._location),
            opts=pulumi.ResourceOptions(parent=self),
        )
        aws.iam.RolePolicy(
            f"{self._location}-{actor}",
            name=name,
            role=role.name,
            policy=document(statements),
            # Children of the component, not of the role: who depends on a component waits for them.
            opts=pulumi.ResourceOptions(parent=self),
        )
        return role

    def _attach(self, kind: Kind) -> None:
        """The user's own managed policies, for what the code itself needs."""
        for arn in self._deployment.config.code_locations[self._location].policy_arns:
            aws.iam.RolePolicyAttachment(
                # The ARN in the name: taking one out of the list leaves the others alone.
                f"{self._location}-{kind}-{arn}",
                role=self.roles[kind].name,
                policy_arn=arn,
                opts=pulumi.ResourceOptions(parent=self),
            )


class LauncherAccess(pulumi.ComponentResource):
    """What to attach to the roles of your webserver and daemon."""

    policies: list[aws.iam.Policy]

    def __init__(self, deployment: Deployment) -> None:
        super().__init__("run-isolation:index:LauncherAccess", "launcher-access")
        documents = {
            "launcher": policy_statements.launcher(deployment),
            "launcher-roles": policy_statements.launcher_roles(deployment),
        }
        self.policies = [
            aws.iam.Policy(
                name,
                name=f"{deployment.prefix}-{name}",
                description="run-isolation: for the roles of the Dagster webserver and daemon",
                policy=document(statements),
                tags=deployment.tags(),
                opts=pulumi.ResourceOptions(parent=self),
            )
            for name, statements in documents.items()
            if statements  # without code locations there are no roles to pass
        ]
        self.register_outputs({})
