"""Which task counts as the standing container of a service."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from tools.local.code_server import NotServingError
from tools.local.standing import settled_task

OLD, NEW = (f"arn:aws:ecs:us-east-1:000000000000:task-definition/sales:{n}" for n in (1, 2))
TASK = "arn:aws:ecs:us-east-1:000000000000:task/local/"


def settled(*tasks: dict[str, str], events: tuple[str, ...] = ()) -> Any:
    ecs = boto3.client("ecs", region_name="us-east-1")
    service = {"taskDefinition": NEW, "events": [{"message": event} for event in events]}
    arns = [f"{TASK}{number}" for number in range(len(tasks))]
    described = [{**task, "taskArn": arn} for task, arn in zip(tasks, arns, strict=True)]
    with Stubber(ecs) as stubber:
        stubber.add_response("describe_services", {"services": [service]})
        stubber.add_response("list_tasks", {"taskArns": arns})
        if tasks:
            stubber.add_response("describe_tasks", {"tasks": described})
        return settled_task(ecs, "local", "sales")


def task(definition: str, status: str = "RUNNING") -> dict[str, str]:
    return {"taskDefinitionArn": definition, "lastStatus": status}


def test_the_one_running_task_of_the_services_task_definition() -> None:
    assert settled(task(NEW, "STOPPED"), task(NEW))["taskArn"] == f"{TASK}1"


@pytest.mark.parametrize(
    "tasks",
    [[], [task(NEW, "PENDING")], [task(OLD)], [task(OLD), task(NEW)], [task(NEW), task(NEW)]],
    ids=["none", "pending", "only the old", "old beside new", "two"],
)
def test_nothing_else_is_settled(tasks: list[dict[str, str]]) -> None:
    with pytest.raises(NotServingError, match="sales:2"):
        settled(*tasks)


def test_quotes_what_ecs_says() -> None:
    with pytest.raises(NotServingError, match="unable to place a task"):
        settled(events=("unable to place a task", "older"))
