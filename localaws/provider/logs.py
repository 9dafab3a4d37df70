"""CloudWatch Logs: log groups."""

from collections.abc import Mapping
from typing import ClassVar

from localaws.provider.aws import Aws
from localaws.provider.resource import Handler
from localaws.provider.wire import Props


class LogGroup(Handler):
    """A log group. Its id is its name."""

    required = ("name",)
    optional = ("retentionInDays",)
    defaults: ClassVar = {"retentionInDays": 0}  # for ever
    outputs = ("arn",)

    def create(self, aws: Aws, inputs: Props) -> str:
        """CreateLogGroup."""
        tags = {"tags": inputs["tags"]} if inputs.get("tags") else {}
        aws.client("logs").create_log_group(logGroupName=inputs["name"], **tags)
        return str(inputs["name"])

    def finish(self, aws: Aws, resource_id: str, inputs: Props) -> None:
        """Set the retention, which CreateLogGroup does not take."""
        self.update(aws, resource_id, {}, inputs, {"retentionInDays"})

    def read(self, aws: Aws, resource_id: str, state: Props) -> Props | None:
        """DescribeLogGroups: it finds by prefix, so look for the exact name."""
        pages = aws.client("logs").get_paginator("describe_log_groups")
        for page in pages.paginate(logGroupNamePrefix=resource_id):
            for group in page["logGroups"]:
                if group["logGroupName"] == resource_id:
                    # Without the ":*" for all streams, as in the real provider.
                    arn = group["arn"].removesuffix(":*")
                    tags = aws.client("logs").list_tags_for_resource(resourceArn=arn)["tags"]
                    return {
                        "name": resource_id,
                        "arn": arn,
                        "retentionInDays": group.get("retentionInDays", 0),
                        "tags": tags,
                    }
        return None

    def update(self, aws: Aws, resource_id: str, old: Props, new: Props, changed: set[str]) -> None:
        """PutRetentionPolicy, or DeleteRetentionPolicy to keep logs for ever."""
        logs, days = aws.client("logs"), new["retentionInDays"]
        if days:
            logs.put_retention_policy(logGroupName=resource_id, retentionInDays=days)
        else:
            logs.delete_retention_policy(logGroupName=resource_id)

    def delete(self, aws: Aws, resource_id: str, state: Props) -> None:
        """DeleteLogGroup."""
        aws.client("logs").delete_log_group(logGroupName=resource_id)

    def retag(self, aws: Aws, state: Props, removed: list[str], tags: Mapping[str, str]) -> None:
        """TagResource and UntagResource."""
        if removed:
            aws.client("logs").untag_resource(resourceArn=state["arn"], tagKeys=removed)
        if tags:
            aws.client("logs").tag_resource(resourceArn=state["arn"], tags=tags)
