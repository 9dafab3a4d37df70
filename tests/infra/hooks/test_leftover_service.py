import asyncio
from collections.abc import Iterator
from typing import Any

import boto3
import pulumi
import pytest
from botocore.stub import Stubber

from infra.hooks import leftover_service
from infra.hooks.leftover_service import Leftover, LeftoverServiceError, remove_leftover

CLUSTER = "arn:aws:ecs:eu-west-1:123456789012:cluster/run-isolation-prod"
URN = (
    "urn:pulumi:prod::run-isolation::"
    "run-isolation:index:CodeLocation$aws:ecs/service:Service::sales"
)
TASK = "arn:aws:ecs:eu-west-1:123456789012:task/run-isolation-prod/0"
NAMED = {"cluster": CLUSTER, "service": "sales"}


class Script:
    """The calls that are expected, with their answers."""

    def __init__(self) -> None:
        self.ecs = boto3.client(
            "ecs", "eu-west-1", aws_access_key_id="test", aws_secret_access_key="test"
        )
        self.stub = Stubber(self.ecs)

    def service(self, status: str, running: int = 1, deployment: str = "prod") -> None:
        tags = [{"key": "run-isolation:deployment", "value": deployment}]
        service = {"status": status, "runningCount": running, "pendingCount": 0, "tags": tags}
        request = {"cluster": CLUSTER, "services": ["sales"], "include": ["TAGS"]}
        self.stub.add_response("describe_services", {"services": [service]}, request)

    def protected(self, *, enabled: bool) -> None:
        request: dict[str, Any] = {"cluster": CLUSTER, "serviceName": "sales"}
        self.stub.add_response("list_tasks", {"taskArns": [TASK]}, request)
        answer = {"protectedTasks": [{"taskArn": TASK, "protectionEnabled": enabled}]}
        request = {"cluster": CLUSTER, "tasks": [TASK]}
        self.stub.add_response("get_task_protection", answer, request)

    def scaled(self, count: int) -> None:
        self.stub.add_response("update_service", {}, {**NAMED, "desiredCount": count})

    def deleted(self) -> None:
        self.stub.add_response("delete_service", {}, NAMED)

    def remove(self, patience: float = 60) -> None:
        leftover = Leftover(self.ecs, CLUSTER, "sales", URN)
        asyncio.run(remove_leftover(leftover, "prod", patience))


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[Script]:
    monkeypatch.setattr(leftover_service, "POLL_INTERVAL", 0)
    monkeypatch.setattr(pulumi.log, "info", lambda message: None)
    script = Script()
    with script.stub:
        yield script
    script.stub.assert_no_pending_responses()


def test_a_name_that_is_free_is_one_call(script: Script) -> None:
    script.service("INACTIVE", 0)
    script.remove()


def test_it_is_emptied_before_it_is_deleted_and_gone_before_the_new_one_is_made(
    script: Script,
) -> None:
    script.service("ACTIVE")
    script.protected(enabled=False)
    script.scaled(0)
    script.service("ACTIVE", 1)
    script.service("ACTIVE", 0)
    script.deleted()
    script.service("DRAINING", 0)
    script.service("INACTIVE", 0)
    script.remove()


def test_one_that_hosts_runs_is_not_touched(script: Script) -> None:
    script.service("ACTIVE")
    script.protected(enabled=True)
    with pytest.raises(LeftoverServiceError) as error:
        script.remove()
    said = str(error.value)
    assert f"its container hosts runs: {TASK}." in said
    parent = "urn:pulumi:prod::run-isolation::run-isolation:index:CodeLocation::sales"
    assert (
        "`pulumi import aws:ecs/service:Service sales run-isolation-prod/sales "
        f"--parent 'location={parent}'"
    ) in said


@pytest.mark.parametrize(
    ("hosts_a_run", "said"),
    [(True, "its container hosts runs"), (False, "had not ended 0 s after")],
)
def test_one_that_does_not_end_is_given_its_container_back(
    script: Script, hosts_a_run: bool, said: str
) -> None:
    script.service("ACTIVE")
    script.protected(enabled=False)
    script.scaled(0)
    script.service("ACTIVE", 1)
    script.scaled(1)
    script.protected(enabled=hosts_a_run)
    with pytest.raises(LeftoverServiceError, match=said):
        script.remove(patience=0)


def test_somebody_elses_is_not_touched(script: Script) -> None:
    script.service("ACTIVE", deployment="other")
    with pytest.raises(LeftoverServiceError, match="does not have this stack's tag"):
        script.remove()


def test_one_that_drains_is_waited_for(script: Script) -> None:
    script.service("DRAINING")
    script.service("DRAINING", 0)
    script.service("INACTIVE", 0)
    script.remove()


def test_one_that_drains_for_ever_is_not(script: Script) -> None:
    script.service("DRAINING")
    script.service("DRAINING")
    with pytest.raises(LeftoverServiceError, match="still DRAINING after 0 s"):
        script.remove(patience=0)
