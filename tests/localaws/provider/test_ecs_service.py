"""Services that `up` waits for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest

from localaws.account import LocalAccount
from tests.localaws.provider.engine import Engine, EngineError

pytestmark = pytest.mark.engine


@pytest.fixture
def engine(new_engine: Callable[[], Engine]) -> Iterator[Engine]:
    engine = new_engine()
    yield engine
    engine.destroy()


def service(subnet: str, image: str, command: str = "sleep 100", **more: Any) -> Callable[[], None]:
    def program() -> None:
        cluster = aws.ecs.Cluster("cluster", name=pulumi.get_stack())
        container = {"name": "main", "image": image, "command": ["sh", "-c", command]}
        task = aws.ecs.TaskDefinition(
            "task",
            family=f"{pulumi.get_stack()}-task",
            container_definitions=json.dumps([container]),
            cpu="256",
            memory="512",
            network_mode="awsvpc",
            requires_compatibilities=["FARGATE"],
        )
        aws.ecs.Service(
            "service",
            name="web",
            cluster=cluster.arn,
            task_definition=task.arn,
            desired_count=1,
            launch_type="FARGATE",
            network_configuration={"subnets": [subnet]},
            wait_for_steady_state=True,
            **{"deployment_circuit_breaker": {"enable": True, "rollback": True}, **more},
        )

    return program


@pytest.fixture
def subnet(local_account: LocalAccount) -> str:
    return str(local_account.client("ec2").describe_subnets()["Subnets"][0]["SubnetId"])


def deployment(account: LocalAccount, cluster: str) -> Any:
    found = account.client("ecs").describe_services(cluster=cluster, services=["web"])
    return found["services"][0]["deployments"][0]


def test_waits_for_the_deployment_and_a_roll_back_is_an_error(
    engine: Engine, local_account: LocalAccount, subnet: str
) -> None:
    engine.up(service(subnet, "plain"))
    found = deployment(local_account, engine.stack.name)
    assert (found["rolloutState"], found["runningCount"]) == ("COMPLETED", 1)
    with pytest.raises(EngineError, match="did not succeed: it was rolled back or replaced"):
        engine.up(service(subnet, "absent"))
    # The state says what runs, so the next `up` deploys again.
    assert engine.up(service(subnet, "tagged:1")).changed["service"] == ["update"]
    found = deployment(local_account, engine.stack.name)
    assert (found["rolloutState"], found["runningCount"]) == ("COMPLETED", 1)


def test_a_first_deployment_that_takes_too_long_is_repaired_by_the_next_up(
    engine: Engine, local_account: LocalAccount, subnet: str
) -> None:
    soon = pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create="1s"))
    breaker = {"enable": False, "rollback": False}
    with pytest.raises(EngineError, match="has a steady state: not so after 1 s"):
        engine.up(service(subnet, "absent", opts=soon, deployment_circuit_breaker=breaker))
    # The engine knows of the service: it isn't made twice.
    ran = engine.up(service(subnet, "plain"))
    assert ran.changed["service"] == ["update"]
    assert deployment(local_account, engine.stack.name)["rolloutState"] == "COMPLETED"


def test_deleting_waits_until_no_task_runs(engine: Engine, local_account: LocalAccount) -> None:
    ecs = local_account.client("ecs")
    subnet = local_account.client("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
    slow = "trap 'sleep 1; exit 0' TERM; while true; do sleep 0.05; done"
    engine.up(service(subnet, "plain", slow))
    cluster = engine.stack.name
    arns = ecs.list_tasks(cluster=cluster)["taskArns"]
    engine.up(lambda: aws.ecs.Cluster("cluster", name=cluster))
    [task] = ecs.describe_tasks(cluster=cluster, tasks=arns)["tasks"]
    assert task["lastStatus"] not in ("PENDING", "RUNNING")
