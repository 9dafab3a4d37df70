"""A task is out of date once a healthy task of a newer deployment serves in its place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from run_isolation.standing.redeploys import Redeploys

CLUSTER = "arn:aws:ecs:eu-west-1:123456789012:cluster/run-isolation-prod"
TASKS = "arn:aws:ecs:eu-west-1:123456789012:task/run-isolation-prod"
MINE, OTHER = f"{TASKS}/mine", f"{TASKS}/other"
REGISTRY = "arn:aws:servicediscovery:eu-west-1:123456789012:service/srv-1"
NAMED = [
    ("UNHEALTHY", None),
    ("HEALTHY", OTHER),
    # There is no health check: the name leads to all.
    ("UNKNOWN", OTHER),
]
OLD, NEW = "ecs-svc/1", "ecs-svc/2"


class Ecs:
    """What ECS answers, call by call."""

    def __init__(self) -> None:
        self.client = boto3.client(
            "ecs", "eu-west-1", aws_access_key_id="test", aws_secret_access_key="test"
        )
        self.stub = Stubber(self.client)
        self.cloud_map = boto3.client(
            "servicediscovery", "eu-west-1", aws_access_key_id="t", aws_secret_access_key="t"
        )
        self.names = Stubber(self.cloud_map)
        self.redeploys = Redeploys(
            lambda: self.client, lambda: self.cloud_map, lambda: CLUSTER, MINE
        )

    def describes(self, *tasks: dict[str, Any]) -> None:
        request = {"cluster": CLUSTER, "tasks": [task["taskArn"] for task in tasks]}
        self.stub.add_response("describe_tasks", {"tasks": list(tasks)}, request)

    def knows_me(self, group: str = "service:sales") -> None:
        self.describes({"taskArn": MINE, "group": group, "startedBy": OLD})

    def has_in_charge(self, *deployments: str, named: bool = False) -> None:
        statuses = ["PRIMARY", *["ACTIVE"] * (len(deployments) - 1)]
        shown = [
            {"id": one, "status": status} for one, status in zip(deployments, statuses, strict=True)
        ]
        request = {"cluster": CLUSTER, "services": ["sales"]}
        # The order is not promised.
        service = {"deployments": shown[::-1]}
        if named:
            service["serviceRegistries"] = [{"registryArn": REGISTRY}]
        answer = {"services": [service]}
        self.stub.add_response("describe_services", answer, request)

    def runs(self, *tasks: dict[str, Any]) -> None:
        request = {"cluster": CLUSTER, "serviceName": "sales", "desiredStatus": "RUNNING"}
        answer = {"taskArns": [task["taskArn"] for task in tasks]}
        self.stub.add_response("list_tasks", answer, request)
        if tasks:
            self.describes(*tasks)


def task(arn: str = OTHER, **values: Any) -> dict[str, Any]:
    return {
        "taskArn": arn,
        "startedBy": NEW,
        "lastStatus": "RUNNING",
        "healthStatus": "HEALTHY",
        **values,
    }


@pytest.fixture
def ecs() -> Iterator[Ecs]:
    ecs = Ecs()
    with ecs.stub, ecs.names:
        yield ecs
    ecs.stub.assert_no_pending_responses()
    ecs.names.assert_no_pending_responses()


@pytest.fixture
def replaced(ecs: Ecs) -> Ecs:
    """As far as ECS knows, a healthy task has taken this one's place."""
    ecs.knows_me()
    ecs.has_in_charge(NEW, OLD, named=True)
    ecs.runs(task(MINE, startedBy=OLD), task())
    return ecs


@pytest.mark.parametrize(("health", "successor"), NAMED)
def test_but_not_before_the_name_leads_to_the_new_one(
    replaced: Ecs, health: str, successor: str | None
) -> None:
    request = {"ServiceId": "srv-1", "Instances": ["other"]}
    answer = {"Status": {"other": health}}
    replaced.names.add_response("get_instances_health_status", answer, request)
    assert replaced.redeploys.successor() == successor


@pytest.mark.parametrize(
    ("error", "successor"), [("InstanceNotFound", None), ("AccessDeniedException", OTHER)]
)
def test_where_cloud_map_does_not_say_ecs_does(
    replaced: Ecs, error: str, successor: str | None
) -> None:
    replaced.names.add_client_error("get_instances_health_status", error)
    assert replaced.redeploys.successor() == successor


def test_the_newest_deployment_s_task_is_not(ecs: Ecs) -> None:
    ecs.knows_me()
    for _ in range(2):
        ecs.has_in_charge(OLD)
        assert ecs.redeploys.successor() is None


def test_an_older_one_s_is_when_a_new_task_is_healthy(ecs: Ecs) -> None:
    ecs.knows_me()
    ecs.has_in_charge(NEW, OLD)
    ecs.runs(task(MINE, startedBy=OLD), task())
    assert ecs.redeploys.successor() == OTHER


@pytest.mark.parametrize(
    "others",
    [
        [],
        [task(healthStatus="UNKNOWN")],
        [task(healthStatus="UNHEALTHY")],
        [task(lastStatus="PENDING")],
        [task(startedBy="ecs-svc/0")],
    ],
)
def test_and_not_before(ecs: Ecs, others: list[dict[str, Any]]) -> None:
    ecs.knows_me()
    ecs.has_in_charge(NEW, OLD)
    ecs.runs(*others)
    assert ecs.redeploys.successor() is None


def test_a_roll_back_to_its_own_deployment_ends_it(ecs: Ecs) -> None:
    ecs.knows_me()
    ecs.has_in_charge(NEW, OLD)
    ecs.runs(task())
    ecs.has_in_charge(OLD)
    assert [ecs.redeploys.successor(), ecs.redeploys.successor()] == [OTHER, None]


def test_a_task_of_no_service_never_is_and_asks_once(ecs: Ecs) -> None:
    ecs.knows_me(group="family:probe")
    assert [ecs.redeploys.successor(), ecs.redeploys.successor()] == [None, None]


def test_trouble_with_ecs_is_the_caller_s(ecs: Ecs) -> None:
    ecs.knows_me()
    ecs.stub.add_client_error("describe_services", "AccessDeniedException")
    with pytest.raises(ClientError, match="AccessDenied"):
        ecs.redeploys.successor()
