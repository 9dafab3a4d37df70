from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from infra.hooks.one_rollout import LAG, Rollout, RolloutError

CLUSTER = "arn:aws:ecs:eu-west-1:123456789012:cluster/run-isolation-prod"
FAMILY = "arn:aws:ecs:eu-west-1:123456789012:task-definition/run-isolation-prod-sales-standing"
GROUP = "/run-isolation/prod/sales"
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
        self.logs = boto3.client(
            "logs", "eu-west-1", aws_access_key_id="test", aws_secret_access_key="test"
        )
        self.log = Stubber(self.logs)
        self.rollout = Rollout(
            self.ecs, self.logs, "/run-isolation/prod/sales", CLUSTER, "sales", NEW
        )

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

    def lines(self, *lines: str, stream: str = "standing/dagster/0") -> None:
        request = {
            "logGroupName": GROUP,
            "logStreamName": stream,
            "limit": 20,
            "startFromHead": False,
        }
        events = [{"timestamp": 0, "message": line} for line in lines]
        self.log.add_response("get_log_events", {"events": events}, request)


@pytest.fixture
def script() -> Iterator[Script]:
    script = Script()
    with script.stub, script.log:
        yield script
    script.stub.assert_no_pending_responses()
    script.log.assert_no_pending_responses()


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
    assert script.rollout.healthy()


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
    assert not script.rollout.healthy()


def test_a_service_that_has_not_noticed_yet_is_asked_again(script: Script) -> None:
    for _ in range(2):
        for _ in range(LAG):
            script.deployments(deployment(OLD))
            assert not script.rollout.healthy()
        script.deployments(deployment(NEW))
        script.tasks()
        assert not script.rollout.healthy()


def test_a_service_that_never_notices_has_gone_back(script: Script) -> None:
    for _ in range(LAG):
        script.deployments(deployment(OLD))
        assert not script.rollout.healthy()
    script.deployments(deployment(OLD))
    script.tasks(task(lastStatus="STOPPED", stoppedReason="exited"), status="STOPPED")
    script.tasks()
    script.lines()
    with pytest.raises(RolloutError, match=f"ECS went back to {OLD}") as error:
        script.rollout.healthy()
    assert f"{TASK}: exited" in str(error.value)
    assert "Log group /run-isolation/prod/sales has nothing of these" in str(error.value)


def test_a_service_that_is_gone_is_an_error(script: Script) -> None:
    script.stub.add_response("describe_services", {"services": [], "failures": []})
    with pytest.raises(RolloutError, match="sales: it has no ECS service any more"):
        script.rollout.healthy()


def test_an_earlier_failure_of_the_same_revision_does_not_count(script: Script) -> None:
    script.deployments(deployment(NEW, "ACTIVE", "FAILED", age=5), deployment(NEW))
    script.tasks(task())
    assert script.rollout.healthy()


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
    script.tasks()
    script.lines("import pands\n", "ModuleNotFoundError: No module named 'pands'")
    with pytest.raises(RolloutError) as error:
        script.rollout.healthy()
    message = str(error.value)
    assert message.startswith("code location sales: ECS deployment FAILED.")
    details = "Essential container in task exited; CannotPullContainerError; exit code 1"
    assert f"{TASK}: {details}" in message
    assert message.count(TASK) == 1
    assert message.endswith(
        "  Last lines of standing/dagster/0 in log group /run-isolation/prod/sales:\n"
        "    00:00:00 import pands\n"
        "    00:00:00 ModuleNotFoundError: No module named 'pands'"
    )


def test_the_log_is_that_of_the_container_which_runs_or_was_the_last_to(script: Script) -> None:
    script.tasks(
        task(taskArn=f"{TASK}1", lastStatus="STOPPED", createdAt=START),
        task(taskArn=f"{TASK}2", lastStatus="STOPPED", createdAt=START + timedelta(minutes=1)),
        status="STOPPED",
    )
    script.tasks(task(taskArn=f"{TASK}3"))
    for stream in ("standing/dagster/03", "standing/dagster/02"):
        script.lines(stream=stream)
    script.lines("it was I", stream="standing/dagster/01")
    assert "it was I" in str(script.rollout.error("because"))


def test_a_log_that_may_not_be_read_is_said_and_hides_nothing(script: Script) -> None:
    script.tasks(task(lastStatus="STOPPED"), status="STOPPED")
    script.tasks()
    script.log.add_client_error("get_log_events", "AccessDeniedException")
    message = str(script.rollout.error("because"))
    assert message.startswith("code location sales: because")
    assert "Log group /run-isolation/prod/sales can't be read" in message
    assert "AccessDeniedException" in message
