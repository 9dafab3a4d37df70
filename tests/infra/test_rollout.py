from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from infra.rollout import LAG, Rollout, RolloutError

CLUSTER = "arn:aws:ecs:eu-west-1:123456789012:cluster/run-isolation-prod"
FAMILY = "arn:aws:ecs:eu-west-1:123456789012:task-definition/run-isolation-prod-sales-standing"
OLD, NEW = f"{FAMILY}:1", f"{FAMILY}:2"
TASK = "arn:aws:ecs:eu-west-1:123456789012:task/run-isolation-prod/0"
START = datetime(2026, 1, 1, tzinfo=UTC)


class Script:
    """What ECS answers, look by look."""

    def __init__(self) -> None:
        self.ecs = boto3.client(
            "ecs", "eu-west-1", aws_access_key_id="test", aws_secret_access_key="test"
        )
        self.stub = Stubber(self.ecs)
        self.pauses: list[float] = []

    def deployments(self, *deployments: dict[str, Any]) -> None:
        request = {"cluster": CLUSTER, "services": ["sales"]}
        answer = {"services": [{"deployments": list(deployments)}]}
        self.stub.add_response("describe_services", answer, request)

    def tasks(self, *tasks: dict[str, Any], status: str = "RUNNING") -> None:
        arns = [task["taskArn"] for task in tasks]
        request: dict[str, Any] = {
            "cluster": CLUSTER,
            "serviceName": "sales",
            "desiredStatus": status,
        }
        self.stub.add_response("list_tasks", {"taskArns": arns}, request)
        if tasks:
            request = {"cluster": CLUSTER, "tasks": arns}
            self.stub.add_response("describe_tasks", {"tasks": list(tasks)}, request)

    def wait(self, patience: float = 60) -> None:
        Rollout(self.ecs, CLUSTER, "sales", NEW).wait(patience, 5, self.pauses.append)


@pytest.fixture
def script() -> Iterator[Script]:
    script = Script()
    with script.stub:
        yield script
    script.stub.assert_no_pending_responses()


def deployment(
    revision: str, status: str = "PRIMARY", state: str = "IN_PROGRESS", age: int = 0
) -> dict[str, Any]:
    return {
        "id": f"ecs-svc/{revision[-1]}{age or ''}",
        "status": status,
        "taskDefinition": revision,
        "rolloutState": state,
        "rolloutStateReason": f"ECS deployment {state}.",
        "createdAt": START - timedelta(minutes=age),
    }


def task(revision: str = NEW, started_by: str = "ecs-svc/2", **values: Any) -> dict[str, Any]:
    return {
        "taskArn": TASK,
        "taskDefinitionArn": revision,
        "startedBy": started_by,
        "lastStatus": "RUNNING",
        "healthStatus": "HEALTHY",
        **values,
    }


def test_one_healthy_container_is_enough_while_an_old_one_stays(script: Script) -> None:
    script.deployments(deployment(NEW), deployment(OLD, "ACTIVE", age=9))
    script.tasks(task(OLD, "ecs-svc/19"), task())
    script.wait()
    assert script.pauses == []


@pytest.mark.parametrize(
    "unready",
    [
        task(healthStatus="UNKNOWN"),
        task(healthStatus="UNHEALTHY"),
        task(lastStatus="PENDING"),
        task(OLD, "ecs-svc/1"),
        task(NEW, "ecs-svc/an-earlier-deployment-of-this-revision"),
    ],
)
def test_others_are_not(script: Script, unready: dict[str, Any]) -> None:
    script.deployments(deployment(NEW))
    script.tasks(unready)
    script.deployments(deployment(NEW))
    script.tasks(task())
    script.wait()
    assert script.pauses == [5]


def test_a_service_that_has_not_noticed_yet_is_asked_again(script: Script) -> None:
    script.deployments(deployment(OLD))
    script.deployments(deployment(NEW))
    script.tasks()
    script.deployments(deployment(NEW))
    script.tasks(task())
    script.wait()
    assert script.pauses == [5, 5]


def test_a_service_that_never_notices_has_gone_back(script: Script) -> None:
    for _ in range(LAG + 1):
        script.deployments(deployment(OLD))
    script.tasks(task(lastStatus="STOPPED", stoppedReason="exited"), status="STOPPED")
    with pytest.raises(RolloutError, match=f"ECS went back to {OLD}") as error:
        script.wait()
    assert f"{TASK}: exited" in str(error.value)


def test_an_earlier_failure_of_the_same_revision_does_not_count(script: Script) -> None:
    script.deployments(deployment(NEW, "ACTIVE", "FAILED", age=5), deployment(NEW))
    script.tasks(task())
    script.wait()


@pytest.mark.parametrize(
    "deployments",
    [
        [deployment(NEW, state="FAILED")],
        [deployment(OLD, age=9), deployment(NEW, "ACTIVE", "FAILED")],
    ],
)
def test_a_rollback_is_an_error_that_says_why(
    script: Script, deployments: list[dict[str, Any]]
) -> None:
    stopped = task(
        lastStatus="STOPPED",
        stoppedReason="Essential container in task exited",
        containers=[{"exitCode": 1, "reason": "CannotPullContainerError"}],
    )
    script.deployments(*deployments)
    script.tasks(stopped, task(OLD), status="STOPPED")
    with pytest.raises(RolloutError) as error:
        script.wait()
    message = str(error.value)
    assert message.startswith("code location sales: ECS deployment FAILED.")
    details = "Essential container in task exited; CannotPullContainerError; exit code 1"
    assert f"{TASK}: {details}" in message
    assert message.count(TASK) == 1
    assert "pulumi up --refresh" in message


def test_patience_ends(script: Script) -> None:
    script.deployments(deployment(NEW))
    script.tasks(task(healthStatus="UNHEALTHY"))
    script.tasks(status="STOPPED")
    with pytest.raises(RolloutError, match="no healthy container after 0 s"):
        script.wait(patience=0)
