"""Where tasks log."""

import pulumi
import pulumi_aws as aws

from infra.deployment import Deployment
from infra.hooks.hooks import Hooks


class LocationLogs(pulumi.ComponentResource):
    """The log group of one code location, for both kinds of tasks."""

    group: aws.cloudwatch.LogGroup

    def __init__(
        self, deployment: Deployment, location: str, hooks: Hooks, opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__("run-isolation:index:LocationLogs", location, opts=opts)
        self.group = aws.cloudwatch.LogGroup(
            location,
            name=deployment.log_group(location),
            retention_in_days=deployment.config.log_retention_days,
            tags=deployment.tags(location=location),
            opts=pulumi.ResourceOptions(
                parent=self,
                # It lives exactly as long as the code location, and outlives its tasks.
                hooks=pulumi.ResourceHookBinding(after_delete=[hooks.delete_revisions]),
            ),
        )
        self.register_outputs({})
