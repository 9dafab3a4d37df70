"""The record of calls."""

from __future__ import annotations

import json
import urllib.request

from localaws.account import LocalAccount
from tests.localaws.conftest import Cluster


def test_calls_are_recorded_in_order_with_parameters_and_caller(
    cluster: Cluster, local_account: LocalAccount
) -> None:
    definition = cluster.register(cluster.container("true"))
    local_account.calls.clear()
    cluster.run_task(definition, startedBy="me")
    local_account.client("sts", caller="launcher").get_caller_identity()
    local_account.client("iam").list_roles(PathPrefix="/x/")
    first, second, third = local_account.calls.all()
    assert (first.service, first.operation, first.caller) == ("ecs", "RunTask", "test")
    assert (first.params["startedBy"], first.params["taskDefinition"]) == ("me", definition)
    assert (second.service, second.operation) == ("sts", "GetCallerIdentity")
    assert (third.operation, third.params["PathPrefix"]) == ("ListRoles", "/x/")
    assert local_account.calls.all(caller="launcher") == [second]
    assert local_account.calls.all("ecs") == [first]


def test_what_tasks_ask_of_their_agent_is_no_call(
    cluster: Cluster, local_account: LocalAccount
) -> None:
    definition = cluster.register(
        cluster.container(
            'python -c "import os, urllib.request as u; u.urlopen('
            "os.environ['ECS_CONTAINER_METADATA_URI_V4'])\""
        )
    )
    local_account.calls.clear()
    task = cluster.start(definition).wait_for("STOPPED")
    assert task.containers[0].exit_code == 0
    assert [call.operation for call in local_account.calls.all()] == ["RunTask"]


def test_calls_over_http(local_account: LocalAccount) -> None:
    url = f"{local_account.endpoint_url}/_localaws/calls"
    client = local_account.client("s3")
    client.create_bucket(Bucket="calls")
    client.put_object(Bucket="calls", Key="k", Body=b"body")
    assert client.get_object(Bucket="calls", Key="k")["Body"].read() == b"body"
    root = {"X-Amz-Security-Token": local_account.identities.root_token}
    with urllib.request.urlopen(urllib.request.Request(url, headers=root)) as answer:
        seen = [(call["service"], call["operation"]) for call in json.load(answer)]
    assert seen == [("s3", "PUT /calls"), ("s3", "PUT /calls/k"), ("s3", "GET /calls/k")]
    urllib.request.urlopen(urllib.request.Request(url, method="DELETE", headers=root)).close()
    assert local_account.calls.all() == []
