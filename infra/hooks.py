"""What Pulumi does around its own steps, through AWS's API.

Hooks run in this program, with the credentials of the environment (or of ``aws:profile``). Hooks on
deletion need the program, so that a stack is destroyed with ``pulumi destroy --run-program``
(https://www.pulumi.com/docs/iac/concepts/resources/options/hooks/); without it Pulumi says so and
deletes nothing.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import boto3
import pulumi
from botocore.config import Config as ClientConfig

from infra.deployment import Deployment, Kind
from infra.revisions import delete_revisions
from infra.rollout import Rollout

if TYPE_CHECKING:
    from types_boto3_ecs import ECSClient


@dataclass(frozen=True)
class Hooks:
    """The hooks of a deployment."""

    wait_until_healthy: pulumi.ResourceHook
    """After an ECS service was created or updated."""
    delete_revisions: pulumi.ResourceHook
    """After the log group of a code location was deleted."""

    @classmethod
    def of(cls, deployment: Deployment) -> Self:
        """Registers the hooks.

        They are named, and the same for all code locations: one that left the config still has
        its hook.
        """

        async def wait_until_healthy(args: pulumi.ResourceHookArgs) -> None:
            service = args.new_outputs or {}
            rollout = Rollout(
                _ecs(deployment), service["cluster"], service["name"], service["taskDefinition"]
            )
            await asyncio.to_thread(rollout.wait)

        async def delete_all(args: pulumi.ResourceHookArgs) -> None:
            location = (args.old_outputs or {})["name"].removeprefix(deployment.log_group(""))
            for kind in Kind:
                family = deployment.family(location, kind)
                await asyncio.to_thread(delete_revisions, _ecs(deployment), family)

        return cls(
            wait_until_healthy=pulumi.ResourceHook("wait-until-healthy", wait_until_healthy),
            delete_revisions=pulumi.ResourceHook("delete-revisions", delete_all),
        )


def _ecs(deployment: Deployment) -> ECSClient:
    session = boto3.Session(
        profile_name=pulumi.Config("aws").get("profile"), region_name=deployment.region
    )
    # Adaptive: DeregisterTaskDefinition is throttled to a call per second.
    config = ClientConfig(retries={"mode": "adaptive", "max_attempts": 10})
    return session.client("ecs", config=config)
