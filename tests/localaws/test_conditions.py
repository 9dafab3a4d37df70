"""Quotas, and changes that are in force later."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from localaws.account import LocalAccount
from localaws.conditions import Conditions
from localaws.quotas import NO_VCPUS
from localaws.server import ROOT_HEADER
from tests.localaws.conftest import Cluster
from tests.localaws.roles import make_role
from tests.waiting import eventually

LONG = 3600.0
SELDOM = 0.001
AT_ONCE = Config(retries={"total_max_attempts": 1})


@pytest.fixture
def conditions(local_account: LocalAccount) -> Iterator[Conditions]:
    usual = local_account.conditions.model_copy()
    yield local_account.conditions
    local_account.conditions.change(usual.model_dump_json().encode())


def patch(account: LocalAccount, **fields: object) -> Any:
    request = urllib.request.Request(
        f"{account.endpoint_url}/_localaws/conditions",
        method="PATCH",
        data=json.dumps(fields).encode(),
        headers={ROOT_HEADER: account.environment()["AWS_SESSION_TOKEN"]},
    )
    with urllib.request.urlopen(request, timeout=5) as response:
        return json.load(response)


def test_they_are_changed_over_http(local_account: LocalAccount, conditions: Conditions) -> None:
    assert patch(local_account, vcpus=4, health_lag_seconds=30)["vcpus"] == 4
    assert (conditions.vcpus, conditions.health_lag_seconds) == (4, 30)
    assert patch(local_account, vcpus=None)["health_lag_seconds"] == 30
    for wrong in ({"vcpu": 4}, {"vcpus": -1}):
        with pytest.raises(urllib.error.HTTPError) as refused:
            patch(local_account, **wrong)
        assert refused.value.code == 400


def test_the_vcpu_quota_is_a_failure_of_run_task_and_an_event_of_a_service(
    cluster: Cluster, conditions: Conditions
) -> None:
    definition = cluster.register(cluster.container("exec sleep 60"))
    used = sum(
        task.spec.cpu for task in cluster.account.ecs()._tasks.values() if task.status != "STOPPED"
    )
    conditions.vcpus = used / 1024 + 2
    answer = cluster.run_task(definition, count=3)
    assert len(answer["tasks"]) == 2
    assert answer["failures"] == [{"reason": NO_VCPUS}]
    cluster.create_service(definition)
    eventually(lambda: any(NO_VCPUS in one["message"] for one in cluster.service()["events"]))
    cluster.account.task(answer["tasks"][0]["taskArn"]).request_stop("UserInitiated", "")
    cluster.await_rollout()


def test_launches_have_a_rate_and_a_burst(cluster: Cluster, conditions: Conditions) -> None:
    definition = cluster.register(cluster.container("true"))
    conditions.launches_per_second, conditions.launch_burst = SELDOM, 4
    ecs = cluster.account.client("ecs", config=AT_ONCE)
    launch = {
        "cluster": cluster.name,
        "taskDefinition": definition,
        "launchType": "FARGATE",
        "networkConfiguration": cluster.network,
    }
    ecs.run_task(count=4, **launch)
    with pytest.raises(ClientError, match=r"\(ThrottlingException\).*: Rate exceeded"):
        ecs.run_task(**launch)
    conditions.launches_per_second = 1000
    assert ecs.run_task(**launch)["tasks"]


def test_reads_of_parameters_have_a_rate_which_ecs_draws_on_too(
    cluster: Cluster, conditions: Conditions
) -> None:
    ssm = cluster.account.client("ssm", config=AT_ONCE)
    ssm.put_parameter(Name="/token", Value="1", Type="SecureString", Overwrite=True)
    token = [{"name": "TOKEN", "valueFrom": "/token"}]
    definition = cluster.register(cluster.container("true", secrets=token))
    conditions.parameters_per_second = SELDOM
    ssm.get_parameters(Names=["/token"])
    with pytest.raises(ClientError, match="ThrottlingException"):
        ssm.get_parameter(Name="/token")
    task = cluster.start(definition).wait_for("STOPPED")
    assert task.stopped_reason is not None
    assert task.stopped_reason.startswith("ResourceInitializationError: unable to pull secrets")
    assert "ThrottlingException: Rate exceeded" in task.stopped_reason


def test_reads_of_secrets_have_a_rate(local_account: LocalAccount, conditions: Conditions) -> None:
    client = local_account.client("secretsmanager", config=AT_ONCE)
    name = client.create_secret(Name=uuid.uuid4().hex, SecretString="s")["Name"]
    conditions.secrets_per_second = SELDOM
    client.get_secret_value(SecretId=name)
    with pytest.raises(ClientError, match="ThrottlingException"):
        client.describe_secret(SecretId=name)


def test_a_new_revision_is_run_a_little_later(cluster: Cluster, conditions: Conditions) -> None:
    conditions.definition_lag_seconds = LONG
    definition = cluster.register(cluster.container("true"))
    with pytest.raises(ClientError, match=r"\(ClientException\).*: TaskDefinition not found\."):
        cluster.run_task(definition)
    conditions.definition_lag_seconds = 0.01

    def runs() -> bool:
        with suppress(ClientError):
            return bool(cluster.run_task(definition)["tasks"])
        return False

    eventually(runs)


def test_iam_is_in_force_a_little_later(
    local_account: LocalAccount, conditions: Conditions
) -> None:
    iam = local_account.client("iam")
    name = uuid.uuid4().hex[:8]
    local_account.client("ssm").put_parameter(
        Name=f"/{name}", Value="1", Type="String", Overwrite=True
    )
    conditions.iam_lag_seconds = LONG
    read = {"Effect": "Allow", "Action": "ssm:GetParameter", "Resource": "*"}
    keys = local_account.identities.open(make_role(iam, name, read), "me").credentials()
    ssm = boto3.Session(
        keys["AccessKeyId"], keys["SecretAccessKey"], keys["Token"], region_name="us-east-1"
    ).client("ssm", endpoint_url=local_account.endpoint_url)

    def may_read() -> bool:
        try:
            ssm.get_parameter(Name=f"/{name}")
        except ClientError as error:
            return error.response["Error"]["Code"] != "AccessDeniedException"
        return True

    assert not may_read()
    conditions.iam_lag_seconds = 0.01
    eventually(may_read)
    conditions.iam_lag_seconds = LONG
    iam.delete_role_policy(RoleName=name, PolicyName="own")
    assert may_read()
    conditions.iam_lag_seconds = 0.01
    eventually(lambda: not may_read())
