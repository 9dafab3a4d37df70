"""The last step of an `up`: each standing container has come up."""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.hooks.hooks import Hooks
from infra.hooks.one_rollout import RolloutError


class RolledOut(pulumi.ComponentResource):
    """What each service last came up with, kept in Pulumi's state.

    The wait is before this is written: where it fails or is killed, nothing is written, and the
    next `up` waits and fails again, although it finds nothing else to change
    (docs/decisions/26-one-hook-waits-for-all-services.md).
    """

    def __init__(
        self,
        hooks: Hooks,
        cluster: str,
        services: Mapping[str, aws.ecs.Service],
        after: Sequence[pulumi.CustomResource],
    ) -> None:
        super().__init__("run-isolation:index:RolledOut", "rolled-out")
        # Where a location fails the rest must be there: no further step begins then.
        rest = pulumi.Output.all(*(one.urn for one in after))
        record = pulumi.Stash(
            "rolled-out",
            input={
                name: {
                    "name": name,
                    "cluster": cluster,
                    "taskDefinition": _detached(service.task_definition, rest),
                }
                for name, service in services.items()
            },
            opts=pulumi.ResourceOptions(
                parent=self,
                hooks=pulumi.ResourceHookBinding(
                    before_create=[hooks.wait_until_healthy],
                    before_update=[hooks.wait_until_healthy],
                ),
            ),
        )

        async def wait_for_the_rest(recorded: Any) -> Any:
            """What was changed back to what it was: repaired, or made again; or by `--target`."""
            try:
                await hooks.rollouts.wait()
            except RolloutError as error:
                raise pulumi.RunError(str(error)) from None
            return recorded

        record.input.apply(wait_for_the_rest)
        self.register_outputs({})


def _detached(value: pulumi.Output[str | None], after: pulumi.Output[Any]) -> pulumi.Output[str]:
    """The value of a resource once others are there, too, with no dependency in the state.

    With `--continue-on-error` Pulumi deletes what has left the config also where another resource
    has failed. A record that was not written then would still depend on what is gone, and Pulumi
    refuses such a state ("snapshot integrity failure", seen with 3.259).

    Returns:
        "" where the resource has failed.
    """

    async def settled() -> str:
        await after.future()
        return await value.future() or ""

    async def is_known() -> bool:
        return not pulumi.runtime.is_dry_run() or await value.is_known()

    return pulumi.Output(set(), settled(), is_known())
