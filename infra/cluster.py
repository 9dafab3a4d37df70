"""The ECS cluster that all tasks of the deployment run in."""

import pulumi
import pulumi_aws as aws

from infra.deployment import Deployment


class Cluster(pulumi.ComponentResource):
    """A cluster of Fargate tasks, on demand and Spot."""

    arn: pulumi.Output[str]

    def __init__(self, deployment: Deployment) -> None:
        super().__init__("run-isolation:index:Cluster", "cluster")
        cluster = aws.ecs.Cluster(
            "cluster",
            name=deployment.prefix,
            settings=[
                # "enabled" averages over a family. "enhanced" has CPU and memory of each task, and
                # each isolated run is a task: it says which run needs which size
                # (https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/container-insights-detailed-ecs-metrics.html).
                {"name": "containerInsights", "value": "enhanced"}
            ],
            tags=deployment.tags(),
            opts=pulumi.ResourceOptions(parent=self),
        )
        # No default strategy: every launch names its own.
        aws.ecs.ClusterCapacityProviders(
            "cluster",
            cluster_name=cluster.name,
            capacity_providers=["FARGATE", "FARGATE_SPOT"],
            opts=pulumi.ResourceOptions(parent=cluster),
        )
        self.arn = cluster.arn
        self.register_outputs({})
