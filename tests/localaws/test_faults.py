"""Faults at the HTTP endpoint, as a boto3 client meets them."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from localaws.account import LocalAccount
from localaws.faults import (
    NO_CAPACITY,
    DeadTask,
    Delay,
    Error,
    LostRequest,
    LostResponse,
    MissingTasks,
    NoContainers,
    RunTaskFailures,
    SlowTask,
)
from tests.localaws.conftest import Cluster
from tests.waiting import eventually

ONCE = Config(retries={"total_max_attempts": 1})
FOREVER = "sleep 60"


@pytest.fixture
def impatient(local_account: LocalAccount, cluster: Cluster) -> Cluster:
    """The cluster, with a client that tries once."""
    cluster.definition = cluster.register(cluster.container(FOREVER))  # type: ignore[attr-defined]
    cluster.ecs = local_account.client("ecs", config=ONCE)
    return cluster


def run(cluster: Cluster, **more: Any) -> dict[str, Any]:
    return cluster.run_task(cluster.definition, **more)  # type: ignore[attr-defined]


def listed(cluster: Cluster) -> list[str]:
    arns: list[str] = cluster.ecs.list_tasks(cluster=cluster.name)["taskArns"]
    return arns


def test_an_error_with_its_code_members_and_count(
    impatient: Cluster, local_account: LocalAccount
) -> None:
    fault = local_account.faults.add(
        Error(
            operation="RunTask", code="ConflictException", members={"resourceIds": ["arn"]}, times=2
        )
    )
    for _ in range(2):
        with pytest.raises(ClientError) as caught:
            run(impatient)
        assert caught.value.response["Error"]["Code"] == "ConflictException"
        assert caught.value.response["resourceIds"] == ["arn"]  # type: ignore[typeddict-item]
    assert fault.hits == 2
    assert listed(impatient) == []
    assert len(run(impatient)["tasks"]) == 1


@pytest.mark.parametrize(
    ("service", "operation", "call"),
    [
        ("ec2", "DescribeVpcs", lambda client: client.describe_vpcs()),
        ("iam", "ListRoles", lambda client: client.list_roles()),
        ("sts", "GetCallerIdentity", lambda client: client.get_caller_identity()),
        ("dynamodb", "ListTables", lambda client: client.list_tables()),
        ("s3", "GET /", lambda client: client.list_buckets()),
        ("servicediscovery", "ListNamespaces", lambda client: client.list_namespaces()),
    ],
)
def test_errors_of_every_protocol(
    local_account: LocalAccount, service: str, operation: str, call: Any
) -> None:
    local_account.faults.add(
        Error(service=service, operation=operation, code="AccessDenied", message="no", status=403)
    )
    with pytest.raises(ClientError) as caught:
        call(local_account.client(service, config=ONCE))
    error = caught.value.response
    assert (error["Error"]["Code"], error["Error"]["Message"]) == ("AccessDenied", "no")
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_a_lost_request_is_not_carried_out(impatient: Cluster, local_account: LocalAccount) -> None:
    local_account.faults.add(LostRequest(operation="RunTask"))
    with pytest.raises(ConnectionClosedError):
        run(impatient)
    assert listed(impatient) == []


def test_a_lost_response_is_carried_out_and_the_sdks_retry_finds_it(
    impatient: Cluster, local_account: LocalAccount
) -> None:
    local_account.faults.add(LostResponse(operation="RunTask", times=2))
    with pytest.raises(ConnectionClosedError):
        run(impatient)
    assert len(listed(impatient)) == 1
    # The SDK adds a client token of its own and keeps it over its retries.
    impatient.ecs = local_account.client("ecs")
    local_account.calls.clear()
    answer = run(impatient)
    assert len(listed(impatient)) == 2
    sent = [c for c in local_account.calls.all("ecs") if c.operation == "RunTask"]
    assert len(sent) == 2
    assert sent[0].params["clientToken"] == sent[1].params["clientToken"]
    assert answer["tasks"][0]["taskArn"] in listed(impatient)


def test_a_delay_longer_than_the_clients_patience_succeeds_late(
    impatient: Cluster, local_account: LocalAccount
) -> None:
    patient = impatient.ecs
    local_account.faults.add(Delay(operation="RunTask", seconds=3))
    impatient.ecs = local_account.client("ecs", config=ONCE.merge(Config(read_timeout=0.3)))
    with pytest.raises(ReadTimeoutError):
        run(impatient)
    impatient.ecs = patient
    assert listed(impatient) == []
    eventually(lambda: len(listed(impatient)) == 1)


def test_a_delay_of_every_call(local_account: LocalAccount) -> None:
    client = local_account.client("sts")
    local_account.faults.add(Delay(service="*", seconds=0.1, times=None))
    started = time.monotonic()
    client.get_caller_identity()
    client.get_caller_identity()
    assert time.monotonic() - started >= 0.2


def test_run_task_failures(impatient: Cluster, local_account: LocalAccount) -> None:
    local_account.faults.add(RunTaskFailures())
    answer = run(impatient)
    assert answer["tasks"] == []
    assert answer["failures"] == [{"reason": NO_CAPACITY}]
    local_account.faults.add(
        RunTaskFailures(
            failures=({"arn": "a", "reason": "RESOURCE:MEMORY", "detail": "d"},), placed=1
        )
    )
    answer = run(impatient, count=3)
    assert len(answer["tasks"]) == 1
    assert answer["failures"] == [{"arn": "a", "reason": "RESOURCE:MEMORY", "detail": "d"}]


def test_neither_tasks_nor_failures(impatient: Cluster, local_account: LocalAccount) -> None:
    local_account.faults.add(RunTaskFailures(failures=()))
    answer = run(impatient)
    assert answer["tasks"] == answer["failures"] == []


def test_a_task_dead_before_its_start(impatient: Cluster, local_account: LocalAccount) -> None:
    local_account.faults.add(DeadTask(stop_code="SpotInterruption", reason="gone"))
    task = local_account.task(run(impatient)["tasks"][0]["taskArn"]).wait_for("STOPPED")
    shown = impatient.describe(task)
    assert (shown["stopCode"], shown["stoppedReason"]) == ("SpotInterruption", "gone")
    assert "exitCode" not in shown["containers"][0]
    assert "startedAt" not in shown


def test_a_dead_task_without_containers(impatient: Cluster, local_account: LocalAccount) -> None:
    local_account.faults.add(DeadTask(hide_containers=True))
    task = local_account.task(run(impatient)["tasks"][0]["taskArn"]).wait_for("STOPPED")
    assert impatient.describe(task)["containers"] == []


def test_a_task_whose_containers_are_not_shown_once_it_has_stopped(
    impatient: Cluster, local_account: LocalAccount
) -> None:
    local_account.faults.add(NoContainers())
    task = local_account.task(run(impatient)["tasks"][0]["taskArn"]).wait_for("RUNNING")
    assert impatient.describe(task)["containers"]
    impatient.ecs.stop_task(cluster=impatient.name, task=task.task_arn)
    task.wait_for("STOPPED")
    assert impatient.describe(task)["containers"] == []


def test_a_slow_task(impatient: Cluster, local_account: LocalAccount) -> None:
    local_account.faults.add(SlowTask(seconds=0.3))
    task = local_account.task(run(impatient)["tasks"][0]["taskArn"]).wait_for("RUNNING")
    took = task.moments["startedAt"] - task.moments["createdAt"]
    assert took.total_seconds() >= 0.3


def test_tasks_that_are_missing_at_first(impatient: Cluster, local_account: LocalAccount) -> None:
    arn = run(impatient)["tasks"][0]["taskArn"]
    local_account.faults.add(MissingTasks())

    def ask() -> Any:
        return impatient.ecs.describe_tasks(cluster=impatient.name, tasks=[arn])

    assert ask()["failures"] == [{"arn": arn, "reason": "MISSING"}]
    assert ask()["failures"] == []


def test_skip_where_and_predicate(impatient: Cluster, local_account: LocalAccount) -> None:
    faults = local_account.faults
    second = faults.add(Error(operation="RunTask", skip=1))
    mine = faults.add(Error(operation="ListTasks", where={"cluster": f"^{impatient.name}$"}))
    never = faults.add(Error(operation="*", predicate=lambda params: "nothing" in params))
    run(impatient)
    with pytest.raises(ClientError):
        run(impatient)
    impatient.ecs.describe_clusters(clusters=[impatient.name])
    with pytest.raises(ClientError):
        listed(impatient)
    assert (second.hits, mine.hits, never.hits) == (1, 1, 0)


def test_wait_for_hit(local_account: LocalAccount) -> None:
    fault = local_account.faults.add(Error(service="sts"))
    with pytest.raises(TimeoutError, match="struck 0 of 1 times"):
        fault.wait_for_hit(timeout=0.01)
    with pytest.raises(ClientError):
        local_account.client("sts", config=ONCE).get_caller_identity()
    fault.wait_for_hit(timeout=0)


def admin(account: LocalAccount, method: str, path: str, body: object = None) -> tuple[int, Any]:
    request = urllib.request.Request(
        f"{account.endpoint_url}/_localaws/{path}",
        None if body is None else json.dumps(body).encode(),
        method=method,
        headers={"X-Amz-Security-Token": account.identities.root_token},
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.loads(answer.read() or "null")
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_faults_over_http(local_account: LocalAccount) -> None:
    body = {"kind": "error", "service": "sts", "code": "Oops", "status": 500}
    status, added = admin(local_account, "POST", "faults", body)
    assert status == 201
    with pytest.raises(ClientError, match="Oops"):
        local_account.client("sts", config=ONCE).get_caller_identity()
    (shown,) = admin(local_account, "GET", "faults")[1]
    assert (shown["id"], shown["hits"]) == (added["id"], 1)
    assert admin(local_account, "DELETE", f"faults/{added['id']}")[0] == 204
    assert admin(local_account, "GET", "faults")[1] == []
    status, answer = admin(local_account, "POST", "faults", {"kind": "error", "codde": "x"})
    assert status == 400
    assert answer["errors"][0]["loc"] == ["error", "codde"]
    assert admin(local_account, "GET", "nothing")[0] == 404
