"""What Pulumi does around its own steps, through AWS's API.

Hooks run in this program, with the credentials of the environment (or of ``aws:profile``). Hooks on
deletion need the program, so that a stack is destroyed with ``pulumi destroy --run-program``
(https://www.pulumi.com/docs/iac/concepts/resources/options/hooks/); without it Pulumi says so and
deletes nothing.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import boto3
import pulumi
from botocore.config import Config as ClientConfig

from infra.deployment import Deployment, Kind
from infra.revisions import delete_revisions
from infra.rollout import Rollout
from run_isolation.settings import NonIsolatedRuns
from run_isolation.slots import Slots

if TYPE_CHECKING:
    from types_boto3_ecs import ECSClient


@dataclass(frozen=True)
class Hooks:
    """The hooks of a deployment."""

    wait_until_healthy: pulumi.ResourceHook
    """After an ECS service was created or updated."""
    delete_revisions: pulumi.ResourceHook
    """After the log group of a code location was deleted."""
    clear_limit: pulumi.ResourceHook
    """Before the settings are created or updated: each acquire reads them, until they are there."""
    set_limit: pulumi.ResourceHook
    """After that: an acquire needs one call, and obeys them."""

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

        async def clear_limit(args: pulumi.ResourceHookArgs) -> None:
            await asyncio.to_thread(_slots(deployment).clear_limit)

        async def set_limit(args: pulumi.ResourceHookArgs) -> None:
            written = json.loads((args.new_outputs or {})["item"])
            limit = NonIsolatedRuns.from_item(written).limit
            await asyncio.to_thread(_slots(deployment).set_limit, limit)

        return cls(
            wait_until_healthy=pulumi.ResourceHook("wait-until-healthy", wait_until_healthy),
            delete_revisions=pulumi.ResourceHook("delete-revisions", delete_all),
            clear_limit=pulumi.ResourceHook("clear-limit", clear_limit),
            set_limit=pulumi.ResourceHook("set-limit", set_limit),
        )


def _ecs(deployment: Deployment) -> ECSClient:
    client: ECSClient = _client(deployment, "ecs")
    return client


def _slots(deployment: Deployment) -> Slots:
    return Slots(_client(deployment, "dynamodb"), deployment.table)


def _client(deployment: Deployment, service: str) -> Any:
    session = boto3.Session(
        profile_name=pulumi.Config("aws").get("profile"), region_name=deployment.region
    )
    # Adaptive: DeregisterTaskDefinition is throttled to a call per second.
    config = ClientConfig(retries={"mode": "adaptive", "max_attempts": 10})
    return session.client(service, config=config)  # type: ignore[call-overload]  # a literal's
