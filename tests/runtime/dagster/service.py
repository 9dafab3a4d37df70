"""The service of a code location: its standing task, found by name, and redeploys."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Any

from tests.runtime.dagster.account import LOCATION, PORT, Stack
from tests.waiting import eventually

NAMESPACE = "test.run-isolation.internal"


@dataclass(frozen=True)
class Service:
    """An ECS service of one standing task, as infra/ makes it."""

    stack: Stack

    def create(self) -> str:
        """The ARN of its first task, once it is healthy."""
        network = {"awsvpcConfiguration": {"subnets": [self.stack.subnet]}}
        self.stack.ecs.create_service(
            cluster=self.stack.cluster,
            serviceName=LOCATION,
            taskDefinition=self.stack.standing_definition,
            launchType="FARGATE",
            desiredCount=1,
            networkConfiguration=network,
            serviceRegistries=[{"registryArn": self._registry()}],
        )
        return self.healthy_task()

    def redeploy(self) -> str:
        """A new deployment of the same revision; its task, once it is healthy."""
        self.stack.ecs.update_service(
            cluster=self.stack.cluster, service=LOCATION, forceNewDeployment=True
        )
        return self.healthy_task()

    def delete(self) -> None:
        self.stack.ecs.delete_service(cluster=self.stack.cluster, service=LOCATION, force=True)

    def name_leads_to(self, task_arn: str) -> None:
        """Cloud Map learns that the task is healthy."""
        [registry] = self._describe()["serviceRegistries"]
        self.stack.account.client("servicediscovery").update_instance_custom_health_status(
            ServiceId=registry["registryArn"].rpartition("/")[2],
            InstanceId=task_arn.rpartition("/")[2],
            Status="HEALTHY",
        )

    def calls_of(self, task_arn: str) -> list[str]:
        """Names of the API calls that a task has made with its role."""
        return self.stack.account.calls(task_arn.rpartition("/")[2])

    @property
    def host(self) -> str:
        """Its name, as gRPC resolves it on this machine."""
        resolver = self.stack.account.environment["LOCALAWS_DNS"]
        return f"dns://{resolver}/{LOCATION}.{NAMESPACE}"

    def healthy_task(self) -> str:
        """The healthy task of the newest deployment."""

        def find() -> str | None:
            newest = self._describe()["deployments"][0]["id"]
            arns = self.stack.ecs.list_tasks(cluster=self.stack.cluster, serviceName=LOCATION)
            for arn in arns["taskArns"]:
                task = self.stack.describe(arn)
                if task["startedBy"] == newest and task["healthStatus"] == "HEALTHY":
                    return str(arn)
            return None

        return eventually(find)

    def protects(self, task_arn: str) -> bool:
        found = self.stack.ecs.get_task_protection(cluster=self.stack.cluster, tasks=[task_arn])
        return bool(found["protectedTasks"][0]["protectionEnabled"])

    def answers_at(self, task_arn: str, port: int = PORT) -> bool:
        try:
            socket.create_connection((self.stack.address(task_arn), port), timeout=5).close()
        except ConnectionRefusedError:
            return False
        return True

    def _describe(self) -> Any:
        cluster = self.stack.cluster
        return self.stack.ecs.describe_services(cluster=cluster, services=[LOCATION])["services"][0]

    def _registry(self) -> str:
        cloudmap = self.stack.account.client("servicediscovery")
        operation = cloudmap.create_private_dns_namespace(Name=NAMESPACE, Vpc="vpc-test")
        found = cloudmap.get_operation(OperationId=operation["OperationId"])
        created = cloudmap.create_service(
            Name=LOCATION,
            NamespaceId=found["Operation"]["Targets"]["NAMESPACE"],
            DnsConfig={"RoutingPolicy": "MULTIVALUE", "DnsRecords": [{"Type": "A", "TTL": 10}]},
            HealthCheckCustomConfig={"FailureThreshold": 1},
            Tags=[
                {"Key": "run-isolation:deployment", "Value": "test"},
                {"Key": "run-isolation:code-location", "Value": LOCATION},
            ],
        )
        return str(created["Service"]["Arn"])
