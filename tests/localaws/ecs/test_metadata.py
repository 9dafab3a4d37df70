"""The task metadata endpoint, asked from inside a container."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import pytest

from localaws.account import LocalAccount
from tests.localaws.conftest import Cluster
from tests.waiting import eventually

ASK = """
import os, urllib.request
url = os.environ["ECS_CONTAINER_METADATA_URI_V4"]
for path in ("", "/task"):
    print(urllib.request.urlopen(url + path).read().decode(), flush=True)
import time
time.sleep(60)
"""


def test_a_container_learns_about_itself_and_its_task(cluster: Cluster) -> None:
    container = cluster.container("") | {"command": ["python", "-c", ASK], "cpu": 128}
    side = cluster.container("sleep 60") | {"name": "side"}
    definition = cluster.register(container, side, cpu="512", memory="1024")
    cluster.create_service(definition)
    cluster.await_rollout()
    (task,) = cluster.service_tasks()
    eventually(lambda: len(cluster.logs(task)) == 2)
    own, whole = map(json.loads, cluster.logs(task))
    assert own["Name"] == "main"
    assert own["Networks"] == [{"NetworkMode": "awsvpc", "IPv4Addresses": [task.placement.address]}]
    assert own["ContainerARN"] == cluster.describe(task)["containers"][0]["containerArn"]
    assert own["Limits"] == {"CPU": 128}
    assert whole["TaskARN"] == task.task_arn
    assert whole["Cluster"] == task.placement.cluster_arn
    assert (whole["Family"], whole["Revision"]) == (cluster.name, "1")
    assert whole["Limits"] == {"CPU": 0.5, "Memory": 1024}
    assert whole["ServiceName"] == "web"
    assert [one["Name"] for one in whole["Containers"]] == ["main", "side"]
    assert whole["KnownStatus"] in ("ACTIVATING", "RUNNING")


def test_the_endpoint_ends_with_its_task(cluster: Cluster, local_account: LocalAccount) -> None:
    task = cluster.run("sleep 60").wait_for("RUNNING")
    url = f"{local_account.endpoint_url}/v4/{task.containers[0].runtime_id}"
    with urllib.request.urlopen(url) as answer:
        assert json.load(answer)["Name"] == "main"
    for unknown in (f"{url}/stats", f"{local_account.endpoint_url}/v4/{'0' * 32}"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(unknown)
    cluster.ecs.stop_task(cluster=cluster.name, task=task.task_arn)
    task.wait_for("STOPPED")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(url)
