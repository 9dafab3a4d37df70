from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from dnslib import RCODE, DNSRecord

from localaws.account import LocalAccount
from localaws.ecs.task import Task
from tests.localaws.roles import free_role
from tests.waiting import eventually

LOG_GROUP = "/test"


@dataclass
class Cluster:
    """A cluster of its own for each test."""

    account: LocalAccount
    name: str
    network: dict[str, Any]

    def __post_init__(self) -> None:
        self.ecs = self.account.client("ecs")

    def container(self, script: str, **more: Any) -> dict[str, Any]:
        return {"name": "main", "image": "plain", "command": ["sh", "-c", script], **more}

    def register(self, *containers: dict[str, Any], **more: Any) -> str:
        logs = {
            "awslogs-group": LOG_GROUP,
            "awslogs-region": self.account.region,
            "awslogs-stream-prefix": "t",
        }
        log = {"logConfiguration": {"logDriver": "awslogs", "options": logs}}
        role = free_role(self.account.client("iam"))
        roles = {"taskRoleArn": role, "executionRoleArn": role}
        settings = {"family": self.name, "cpu": "1024", "memory": "2048", **roles} | more
        registered = self.ecs.register_task_definition(
            requiresCompatibilities=["FARGATE"],
            networkMode="awsvpc",
            containerDefinitions=[log | one for one in containers],
            **settings,
        )
        return str(registered["taskDefinition"]["taskDefinitionArn"])

    def run_task(self, definition: str, **more: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self.ecs.run_task(
            cluster=self.name,
            taskDefinition=definition,
            launchType="FARGATE",
            **{"networkConfiguration": self.network} | more,
        )
        return answer

    def start(self, definition: str, **more: Any) -> Task:
        return self.account.task(self.run_task(definition, **more)["tasks"][0]["taskArn"])

    def run(self, script: str, **more: Any) -> Task:
        return self.start(self.register(self.container(script, **more)))

    def describe(self, task: Task, **more: Any) -> dict[str, Any]:
        found = self.ecs.describe_tasks(cluster=self.name, tasks=[task.task_arn], **more)
        shown: dict[str, Any] = found["tasks"][0]
        return shown

    def logs(self, task: Task, container: str = "main") -> list[str]:
        stream = f"t/{container}/{task.id}"
        client = self.account.client("logs")

        def found() -> Any:
            # A task is there before its stream is, and the first one's before their group.
            with suppress(client.exceptions.ResourceNotFoundException):
                return client.get_log_events(
                    logGroupName=LOG_GROUP, logStreamName=stream, startFromHead=True
                )

        events = eventually(found, f"there is a stream {stream}")["events"]
        return [event["message"] for event in events]

    def create_service(self, definition: str, name: str = "web", **more: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self.ecs.create_service(
            cluster=self.name,
            serviceName=name,
            taskDefinition=definition,
            launchType="FARGATE",
            networkConfiguration=self.network,
            **{"desiredCount": 1} | more,
        )["service"]
        return answer

    def service(self, name: str = "web") -> dict[str, Any]:
        found = self.ecs.describe_services(cluster=self.name, services=[name])
        service: dict[str, Any] = found["services"][0]
        return service

    def service_tasks(self, name: str = "web") -> list[Task]:
        found = self.ecs.list_tasks(cluster=self.name, serviceName=name)
        return [self.account.task(arn) for arn in found["taskArns"]]

    def await_rollout(self, state: str = "COMPLETED", name: str = "web") -> dict[str, Any]:
        eventually(lambda: self.service(name)["deployments"][0]["rolloutState"] == state)
        return self.service(name)

    def registry(self, namespace: str, service: str = "web", *, checked: bool = True) -> str:
        """Create a Cloud Map service, with a custom health check or without; return its ARN."""
        cloudmap = self.account.client("servicediscovery")
        operation = cloudmap.create_private_dns_namespace(Name=namespace, Vpc=f"vpc-{namespace}")
        found = cloudmap.get_operation(OperationId=operation["OperationId"])
        created = cloudmap.create_service(
            Name=service,
            NamespaceId=found["Operation"]["Targets"]["NAMESPACE"],
            DnsConfig={"RoutingPolicy": "MULTIVALUE", "DnsRecords": [{"Type": "A", "TTL": 10}]},
            **({"HealthCheckCustomConfig": {"FailureThreshold": 1}} if checked else {}),
        )
        return str(created["Service"]["Arn"])

    def close(self) -> None:
        for arn in self.ecs.list_services(cluster=self.name)["serviceArns"]:
            self.ecs.delete_service(cluster=self.name, service=arn, force=True)
        for arn in self.ecs.list_tasks(cluster=self.name)["taskArns"]:
            self.ecs.stop_task(cluster=self.name, task=arn)


def lookup(account: LocalAccount, name: str, kind: str = "A") -> list[tuple[str, int]]:
    """Ask the account's name server; the addresses with their TTLs."""
    host, port = account.dns.split(":")
    reply = DNSRecord.parse(DNSRecord.question(name, kind).send(host, int(port), timeout=5))
    if reply.header.rcode == RCODE.NXDOMAIN:
        raise LookupError(name)
    return sorted((str(answer.rdata), answer.ttl) for answer in reply.rr)


@pytest.fixture(scope="session", autouse=True)
def images(local_image_root: Path) -> None:
    (local_image_root / "plain").mkdir()
    for tag in ("1", "2"):
        directory = local_image_root / "tagged" / tag
        directory.mkdir(parents=True)
        (directory / "code.py").write_text(f"VERSION = {json.dumps(tag)}\n")


@pytest.fixture
def cluster(local_account: LocalAccount) -> Iterator[Cluster]:
    subnet = local_account.client("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
    network = {"awsvpcConfiguration": {"subnets": [subnet]}}
    made = Cluster(local_account, f"c-{uuid.uuid4().hex[:8]}", network)
    made.ecs.create_cluster(clusterName=made.name, capacityProviders=["FARGATE", "FARGATE_SPOT"])
    logs = local_account.client("logs")
    if not logs.describe_log_groups(logGroupNamePrefix=LOG_GROUP)["logGroups"]:
        logs.create_log_group(logGroupName=LOG_GROUP)
    yield made
    local_account.faults.clear()
    made.close()


@pytest.fixture
def frequent_switches() -> Iterator[None]:
    """Threads take turns a thousand times as often, so that those that meet by chance do meet."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)
