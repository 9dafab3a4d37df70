"""The last step of an `up`: each standing container has come up."""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.hooks import Hooks
from infra.rollout import RolloutError


class RolledOut(pulumi.ComponentResource):
    """What each service last came up with, kept in Pulumi's state.

    The wait is before this is written: where it fails or is killed, nothing is written, and the
    next `up` waits and fails again, although it finds nothing else to change
    (docs/decisions/26-one-hook-waits-for-all-services.md).
    """

    def __init__(
        self,
        hooks: Hooks,
        services: Mapping[str, aws.ecs.Service],
        after: Sequence[pulumi.Resource],
    ) -> None:
        super().__init__("run-isolation:index:RolledOut", "rolled-out")
        record = pulumi.Stash(
            "rolled-out",
            input={
                name: {
                    "name": service.name,
                    "cluster": service.cluster,
                    "taskDefinition": service.task_definition,
                }
                for name, service in services.items()
            },
            opts=pulumi.ResourceOptions(
                parent=self,
                # Where a location fails the rest must be there: no further step begins then.
                depends_on=after,
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
