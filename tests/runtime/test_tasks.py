"""What is read from ECS's answers, and in how many calls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from run_isolation.tasks import MISSING, TaskState, describe, live_tasks, stop, task_id

CLUSTER = "arn:aws:ecs:us-east-1:000000000000:cluster/c"


def arn(number: int) -> str:
    return f"arn:aws:ecs:us-east-1:000000000000:task/c/{number:04}"


@pytest.fixture
def ecs() -> Iterator[tuple[Any, Stubber]]:
    """A client whose every request and answer is checked against AWS's API model."""
    client = boto3.Session("test", "test").client("ecs", region_name="us-east-1")
    with Stubber(client) as stubber:
        yield client, stubber
        stubber.assert_no_pending_responses()


def test_a_hundred_tasks_are_one_call(ecs: tuple[Any, Stubber]) -> None:
    client, stubber = ecs
    arns = [arn(number) for number in range(250)]
    for start in (0, 100, 200):
        batch = arns[start : start + 100]
        stubber.add_response(
            "describe_tasks",
            {"tasks": [{"taskArn": one, "lastStatus": "RUNNING"} for one in batch[:-1]]},
            {"cluster": CLUSTER, "tasks": batch, "include": []},
        )
    states = describe(client, CLUSTER, [*reversed(arns), arns[0]])
    assert [state.status for state in states.values()].count("RUNNING") == 247
    assert states[arns[99]] == TaskState(arns[99], MISSING)


def test_nothing_is_no_call(ecs: tuple[Any, Stubber]) -> None:
    assert describe(ecs[0], CLUSTER, []) == {}


@pytest.mark.parametrize(
    ("task", "expected", "reason"),
    [
        (
            {
                "stopCode": "EssentialContainerExited",
                "stoppedReason": "Essential container in task exited",
                "containers": [
                    {"name": "logs", "exitCode": 143, "reason": "of a side-car"},
                    {
                        "name": "dagster",
                        "exitCode": 137,
                        "reason": "OutOfMemoryError: Container killed due to memory usage",
                    },
                ],
            },
            {
                "stop_code": "EssentialContainerExited",
                "stopped_reason": "Essential container in task exited",
                "exit_code": 137,
                "container_reason": "OutOfMemoryError: Container killed due to memory usage",
            },
            "EssentialContainerExited, Essential container in task exited, exit code 137, "
            "OutOfMemoryError: Container killed due to memory usage",
        ),
        (
            {"stopCode": "TaskFailedToStart", "stoppedReason": "No.", "containers": []},
            {"stop_code": "TaskFailedToStart", "stopped_reason": "No."},
            "TaskFailedToStart, No",
        ),
        (
            {
                "stopCode": "TaskFailedToStart",
                "stoppedReason": "CannotPullContainerError: x",
                "containers": [{"name": "dagster", "reason": "CannotPullContainerError: x"}],
            },
            {
                "stop_code": "TaskFailedToStart",
                "stopped_reason": "CannotPullContainerError: x",
                "container_reason": "CannotPullContainerError: x",
            },
            "TaskFailedToStart, CannotPullContainerError: x",
        ),
        ({"containers": [{"name": "logs", "exitCode": 1}]}, {}, ""),
        (
            {"desiredStatus": "STOPPED", "tags": [{"key": "a", "value": "b"}]},
            {"stopping": True, "tags": {"a": "b"}},
            "",
        ),
    ],
    ids=["out of memory beside a side-car", "no containers", "said twice", "side-car", "stopping"],
)
def test_a_state(
    ecs: tuple[Any, Stubber], task: dict[str, Any], expected: dict[str, Any], reason: str
) -> None:
    client, stubber = ecs
    shown = {"taskArn": arn(1), "lastStatus": "STOPPED", **task}
    asked = {"cluster": CLUSTER, "tasks": [arn(1)], "include": ["TAGS"]}
    stubber.add_response("describe_tasks", {"tasks": [shown]}, asked)
    state = describe(client, CLUSTER, [arn(1)], tags=True)[arn(1)]
    assert state == TaskState(arn(1), "STOPPED", **expected)
    assert dict(state.tags) == expected.get("tags", {})
    assert state.reason == reason


def test_all_pages_of_live_tasks(ecs: tuple[Any, Stubber]) -> None:
    client, stubber = ecs
    first = {"taskArns": [arn(1), arn(2)], "nextToken": "more"}
    stubber.add_response("list_tasks", first, {"cluster": CLUSTER})
    stubber.add_response(
        "list_tasks", {"taskArns": [arn(3)]}, {"cluster": CLUSTER, "nextToken": "more"}
    )
    assert live_tasks(client, CLUSTER) == [arn(1), arn(2), arn(3)]


def test_live_tasks_of_one_run_by_no_other_filter(ecs: tuple[Any, Stubber]) -> None:
    client, stubber = ecs
    asked = {"cluster": CLUSTER, "startedBy": "run-1"}
    stubber.add_response("list_tasks", {"taskArns": []}, asked)
    assert live_tasks(client, CLUSTER, started_by="run-1") == []


def test_stopping_tells_what_the_task_is_now(ecs: tuple[Any, Stubber]) -> None:
    client, stubber = ecs
    asked = {"cluster": CLUSTER, "task": arn(1), "reason": "why"}
    shown = {"taskArn": arn(1), "lastStatus": "STOPPED", "desiredStatus": "STOPPED"}
    stubber.add_response("stop_task", {"task": shown}, asked)
    assert stop(client, CLUSTER, arn(1), "why").stopped
    gone = ("stop_task", "InvalidParameterException", "The referenced task was not found.")
    stubber.add_client_error(*gone, expected_params=asked)
    assert stop(client, CLUSTER, arn(1), "why").missing


def test_other_refusals_to_stop_are_raised(ecs: tuple[Any, Stubber]) -> None:
    client, stubber = ecs
    stubber.add_client_error("stop_task", "InvalidParameterException", "Something else.")
    with pytest.raises(client.exceptions.InvalidParameterException):
        stop(client, CLUSTER, arn(1), "why")


def test_the_id_of_a_task() -> None:
    assert task_id(arn(7)) == "0007"
