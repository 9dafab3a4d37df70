"""What Pulumi does around its own steps, through AWS's API.

Hooks run in this program. A blocking call goes through `in_own_thread`. Hooks on deletion need the
program, so that a stack is destroyed with ``pulumi destroy --run-program``
(https://www.pulumi.com/docs/iac/concepts/resources/options/hooks/); without it Pulumi says so and
deletes nothing.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import pulumi
import pulumi_aws as aws

from infra.deployment import Deployment, Kind
from infra.hooks import in_the_way
from infra.hooks.all_rollouts import Rollouts
from infra.hooks.aws_clients import Clients
from infra.hooks.leftover_service import Leftover, remove_leftover
from infra.hooks.old_revisions import delete_revisions
from infra.hooks.own_thread import in_own_thread
from run_isolation.slots.settings import NonIsolatedRuns
from run_isolation.slots.slots import Slots
from run_isolation.table import HASH_KEY


@dataclass(frozen=True)
class Hooks:
    """The hooks of a deployment."""

    rollouts: Rollouts
    """What the hooks of this `up` have noted."""
    remove_leftover: pulumi.ResourceHook
    """Before an ECS service is created: one that Pulumi does not know is in its way."""
    remove_leftover_item: pulumi.ResourceHook
    """Before an item of the slot table is created: an `up` that was killed then has left it, or it
    is a version of the instance that there was before."""
    note_rollout: pulumi.ResourceHook
    """After an ECS service was created or updated."""
    wait_until_healthy: pulumi.ResourceHook
    """Before the deployment is recorded as rolled out."""
    refuse_while_in_use: pulumi.ResourceHook
    """Before an ECS service is deleted: in a `destroy` they are the first to go."""
    has_answered: Callable[[aws.ecs.Service], None]
    """Notes when Pulumi has answered for a service that the program declares. In a `destroy` it has
    before it deletes anything; in an `up` it deletes one that it has answered for never: only one
    that has left the config, or that it is about to make anew."""
    delete_revisions: pulumi.ResourceHook
    """After the log group of a code location was deleted."""
    clear_limits: pulumi.ResourceHook
    """Before the settings are created or updated: each acquire reads them, until they are there."""
    set_limits: pulumi.ResourceHook
    """After that: an acquire needs one call, and obeys them."""

    @classmethod
    def of(cls, deployment: Deployment) -> Self:
        """Registers the hooks.

        They are named, and the same for all code locations: one that left the config still has
        its hook.
        """
        clients = Clients(deployment.region)
        rollouts = Rollouts(deployment, clients)

        async def remove(args: pulumi.ResourceHookArgs) -> None:
            service = args.new_inputs or {}
            leftover = Leftover(clients.ecs, service["cluster"], service["name"], args.urn)
            await remove_leftover(leftover, deployment.name)

        async def remove_item(args: pulumi.ResourceHookArgs) -> None:
            item = json.loads((args.new_inputs or {})["item"])
            await in_own_thread(
                clients.dynamodb.delete_item,
                TableName=deployment.table,
                Key={HASH_KEY: item[HASH_KEY]},
            )

        async def note(args: pulumi.ResourceHookArgs) -> None:
            rollouts.note(args.new_outputs or {})

        async def wait(args: pulumi.ResourceHookArgs) -> None:
            healthy = (args.old_inputs or {}).get("input", {})
            for name, service in (args.new_inputs or {})["input"].items():
                # Without a task definition: it could not be created, and Pulumi says why.
                if service["taskDefinition"] and service != healthy.get(name):
                    rollouts.note(service)
            await rollouts.wait()

        answered: set[str] = set()
        looks: list[asyncio.Future[None]] = []

        def has_answered(service: aws.ecs.Service) -> None:
            service.urn.apply(answered.add)

        async def refuse(args: pulumi.ResourceHookArgs) -> None:
            if args.urn not in answered:
                return
            # Once for all services, which go at the same time.
            if not looks:
                look = in_own_thread(in_the_way.check, clients, deployment)
                looks.append(asyncio.ensure_future(look))
            await looks[0]

        async def delete_all(args: pulumi.ResourceHookArgs) -> None:
            location = (args.old_outputs or {})["name"].removeprefix(deployment.log_group(""))
            for kind in Kind:
                family = deployment.family(location, kind)
                await in_own_thread(delete_revisions, clients.ecs_of_revisions, family)

        async def clear_limits(args: pulumi.ResourceHookArgs) -> None:
            await in_own_thread(Slots(clients.dynamodb, deployment.table).clear_limits)

        async def set_limits(args: pulumi.ResourceHookArgs) -> None:
            written = json.loads((args.new_outputs or {})["item"])
            settings = NonIsolatedRuns.from_item(written)
            await in_own_thread(Slots(clients.dynamodb, deployment.table).set_limits, settings)

        return cls(
            rollouts=rollouts,
            remove_leftover=pulumi.ResourceHook("remove-leftover", remove),
            remove_leftover_item=pulumi.ResourceHook("remove-leftover-item", remove_item),
            note_rollout=pulumi.ResourceHook("note-rollout", note),
            wait_until_healthy=pulumi.ResourceHook("wait-until-healthy", wait),
            refuse_while_in_use=pulumi.ResourceHook("refuse-while-in-use", refuse),
            has_answered=has_answered,
            delete_revisions=pulumi.ResourceHook("delete-revisions", delete_all),
            # By the names that stacks of before have in their state.
            clear_limits=pulumi.ResourceHook("clear-limit", clear_limits),
            set_limits=pulumi.ResourceHook("set-limit", set_limits),
        )
