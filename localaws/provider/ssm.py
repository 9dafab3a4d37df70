"""SSM: parameters."""

from collections.abc import Mapping
from typing import Any, ClassVar

from localaws.provider.aws import Aws
from localaws.provider.resource import Handler, from_aws, tag_list, tag_map, to_aws
from localaws.provider.wire import Props


def _same_tier(old: Any, new: Any) -> bool:
    """Intelligent-Tiering picks Standard or Advanced, so neither is a change.

    https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/ssm/parameter.go
    (DiffSuppressFunc of tier).
    """
    return bool(old == new or new == "Intelligent-Tiering")


class Parameter(Handler):
    """A parameter. Its id is its name."""

    required = ("name", "type", "value")
    optional = ("description", "tier")
    outputs = ("arn", "tier", "version")
    changing = ("version",)
    same: ClassVar = {"tier": _same_tier}
    fields: ClassVar = {
        "name": "Name",
        "type": "Type",
        "value": "Value",
        "description": "Description",
        "tier": "Tier",
    }

    def create(self, aws: Aws, inputs: Props) -> str:
        """PutParameter, on the condition that there is none yet."""
        request = to_aws(self.fields, inputs)
        tags = tag_list(inputs.get("tags", {}))
        aws.client("ssm").put_parameter(**request, Tags=tags, Overwrite=False)
        return str(inputs["name"])

    def read(self, aws: Aws, resource_id: str, state: Props) -> Props | None:
        """GetParameter, and DescribeParameters for what that leaves out."""
        ssm = aws.client("ssm")
        found = ssm.get_parameter(Name=resource_id, WithDecryption=True)["Parameter"]
        by_name = [{"Key": "Name", "Option": "Equals", "Values": [resource_id]}]
        described = ssm.describe_parameters(ParameterFilters=by_name)["Parameters"][0]
        tags = ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId=resource_id)
        return {
            **from_aws(self.fields, {**described, **found}),
            "arn": found["ARN"],
            "version": found["Version"],
            "tags": tag_map(tags["TagList"]),
        }

    def update(self, aws: Aws, resource_id: str, old: Props, new: Props, changed: set[str]) -> None:
        """PutParameter over the old one."""
        request = {"Description": "", **to_aws(self.fields, new)}
        aws.client("ssm").put_parameter(**request, Overwrite=True)

    def delete(self, aws: Aws, resource_id: str, state: Props) -> None:
        """DeleteParameter."""
        aws.client("ssm").delete_parameter(Name=resource_id)

    def retag(self, aws: Aws, state: Props, removed: list[str], tags: Mapping[str, str]) -> None:
        """AddTagsToResource and RemoveTagsFromResource."""
        ssm, which = aws.client("ssm"), {"ResourceType": "Parameter", "ResourceId": state["id"]}
        if removed:
            ssm.remove_tags_from_resource(**which, TagKeys=removed)
        if tags:
            ssm.add_tags_to_resource(**which, Tags=tag_list(tags))
