"""ECS: task definitions. Registering one makes a new revision of its family."""

import json
from typing import ClassVar

from localaws.provider.aws import Aws
from localaws.provider.ecs import EcsHandler, ecs_tags, tags_of
from localaws.provider.resource import from_aws, to_aws
from localaws.provider.same_value import as_containers, block, unordered
from localaws.provider.wire import Props


class TaskDefinition(EcsHandler):
    """One revision of a family. Its id is the ARN with the revision."""

    required = ("family", "containerDefinitions")
    optional = (
        "cpu",
        "ephemeralStorage",
        "executionRoleArn",
        "memory",
        "networkMode",
        "requiresCompatibilities",
        "runtimePlatform",
        "skipDestroy",
        "taskRoleArn",
    )
    nested: ClassVar = {
        "ephemeralStorage": ("sizeInGib",),
        "runtimePlatform": ("cpuArchitecture", "operatingSystemFamily"),
    }
    outputs = ("arn", "arnWithoutRevision", "revision")
    remembered = ("skipDestroy",)
    same: ClassVar = {
        "containerDefinitions": as_containers,
        "requiresCompatibilities": unordered,
        # https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RuntimePlatform.html
        "runtimePlatform": block(cpuArchitecture="X86_64", operatingSystemFamily="LINUX"),
    }
    fields: ClassVar = {
        "family": "family",
        "cpu": "cpu",
        "memory": "memory",
        "networkMode": "networkMode",
        "requiresCompatibilities": "requiresCompatibilities",
        "executionRoleArn": "executionRoleArn",
        "taskRoleArn": "taskRoleArn",
        "runtimePlatform": "runtimePlatform",
    }

    def create(self, aws: Aws, inputs: Props) -> str:
        """RegisterTaskDefinition."""
        request = to_aws(self.fields, inputs)
        request["containerDefinitions"] = json.loads(inputs["containerDefinitions"])
        if storage := inputs.get("ephemeralStorage"):
            request["ephemeralStorage"] = {"sizeInGiB": storage["sizeInGib"]}
        if inputs.get("tags"):
            request["tags"] = ecs_tags(inputs["tags"])
        answer = aws.client("ecs").register_task_definition(**request)
        return str(answer["taskDefinition"]["taskDefinitionArn"])

    def read(self, aws: Aws, resource_id: str, state: Props) -> Props | None:
        """DescribeTaskDefinition. A deregistered revision counts as gone, as in the real provider.

        https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/ecs/task_definition.go
        """
        answer = aws.client("ecs").describe_task_definition(
            taskDefinition=resource_id, include=["TAGS"]
        )
        found = answer["taskDefinition"]
        if found["status"] != "ACTIVE":
            return None
        arn = found["taskDefinitionArn"]
        storage = found.get("ephemeralStorage")
        return {
            **from_aws(self.fields, found),
            "containerDefinitions": json.dumps(found["containerDefinitions"], sort_keys=True),
            "ephemeralStorage": storage and {"sizeInGib": storage["sizeInGiB"]},
            "arn": arn,
            "arnWithoutRevision": arn.rsplit(":", 1)[0],
            "revision": found["revision"],
            "tags": tags_of(answer),
        }

    def delete(self, aws: Aws, resource_id: str, state: Props) -> None:
        """DeregisterTaskDefinition, unless the revision is to stay for what still names it."""
        if not state.get("skipDestroy"):
            aws.client("ecs").deregister_task_definition(taskDefinition=resource_id)
