"""ECS: clusters and their capacity providers."""

from collections.abc import Mapping
from typing import Any, ClassVar

from localaws.provider.aws import Aws
from localaws.provider.resource import Handler, from_aws, tag_list, tag_map, to_aws
from localaws.provider.same_value import unordered
from localaws.provider.wire import Props


class EcsHandler(Handler):
    """What ECS's types share: tags by ARN, with keys in lower case."""

    def retag(self, aws: Aws, state: Props, removed: list[str], tags: Mapping[str, str]) -> None:
        """TagResource and UntagResource."""
        ecs = aws.client("ecs")
        if removed:
            ecs.untag_resource(resourceArn=state["arn"], tagKeys=removed)
        if tags:
            ecs.tag_resource(resourceArn=state["arn"], tags=ecs_tags(tags))


def ecs_tags(tags: Mapping[str, str] | None) -> list[Any]:
    """Tags as ECS requests want them."""
    return tag_list(tags or {}, "key", "value")


def tags_of(found: Mapping[str, Any]) -> dict[str, str]:
    """Tags from an ECS answer."""
    return tag_map(found.get("tags"), "key", "value")


class Cluster(EcsHandler):
    """A cluster. Its id is its ARN."""

    required = ("name",)
    optional = ("settings",)
    nested: ClassVar = {"settings": ("name", "value")}
    outputs = ("arn",)
    same: ClassVar = {"settings": unordered}
    fields: ClassVar = {"name": "clusterName", "settings": "settings", "arn": "clusterArn"}

    def create(self, aws: Aws, inputs: Props) -> str:
        """CreateCluster."""
        request = to_aws({"name": "clusterName", "settings": "settings"}, inputs)
        answer = aws.client("ecs").create_cluster(**request, tags=ecs_tags(inputs.get("tags")))
        return str(answer["cluster"]["clusterArn"])

    def read(self, aws: Aws, resource_id: str, state: Props) -> Props | None:
        """DescribeClusters. A deleted cluster stays listed as INACTIVE for a while."""
        found = describe_cluster(aws, resource_id)
        return found and {**from_aws(self.fields, found), "tags": tags_of(found)}

    def update(self, aws: Aws, resource_id: str, old: Props, new: Props, changed: set[str]) -> None:
        """UpdateCluster."""
        aws.client("ecs").update_cluster(cluster=resource_id, settings=new.get("settings", []))

    def delete(self, aws: Aws, resource_id: str, state: Props) -> None:
        """DeleteCluster, again while tasks of deleted services still stop.

        As the real provider's retryClusterDelete:
        https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/ecs/cluster.go
        """
        ecs = aws.client("ecs")

        def deleted() -> bool:
            try:
                ecs.delete_cluster(cluster=resource_id)
            except ecs.exceptions.ClusterContainsTasksException:
                return False
            return True

        aws.wait(f"cluster {state['name']} is without tasks", deleted, bool)


class ClusterCapacityProviders(Handler):
    """The capacity providers of a cluster. Its id is the cluster's name."""

    required = ("clusterName",)
    optional = ("capacityProviders",)
    same: ClassVar = {"capacityProviders": unordered}
    tagged = False

    def create(self, aws: Aws, inputs: Props) -> str:
        """PutClusterCapacityProviders: it replaces what there was."""
        self.update(aws, inputs["clusterName"], {}, inputs, {"capacityProviders"})
        return str(inputs["clusterName"])

    def read(self, aws: Aws, resource_id: str, state: Props) -> Props | None:
        """Part of DescribeClusters."""
        found = describe_cluster(aws, resource_id)
        return found and {
            "clusterName": found["clusterName"],
            "capacityProviders": found.get("capacityProviders"),
        }

    def update(self, aws: Aws, resource_id: str, old: Props, new: Props, changed: set[str]) -> None:
        """PutClusterCapacityProviders."""
        aws.client("ecs").put_cluster_capacity_providers(
            cluster=resource_id,
            capacityProviders=new.get("capacityProviders", []),
            defaultCapacityProviderStrategy=[],
        )

    def delete(self, aws: Aws, resource_id: str, state: Props) -> None:
        """Take all providers away; the cluster itself stays."""
        self.update(aws, resource_id, state, {}, {"capacityProviders"})


def describe_cluster(aws: Aws, cluster: str) -> Any:
    """The active cluster with this name or ARN, or None."""
    answer = aws.client("ecs").describe_clusters(clusters=[cluster], include=["TAGS", "SETTINGS"])
    active = [found for found in answer["clusters"] if found["status"] == "ACTIVE"]
    return active[0] if active else None
