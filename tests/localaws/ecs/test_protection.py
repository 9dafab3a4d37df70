"""Task scale-in protection."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.localaws.conftest import Cluster
from tests.waiting import eventually

# Protects itself from inside, as the standing server does, and then waits.
PROTECT = """
import json, os, time, urllib.request
url = os.environ["ECS_AGENT_URI"] + "/task-protection/v1/state"
def ask(**body):
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(url, data, method="PUT" if body else "GET")
    print(urllib.request.urlopen(request).read().decode(), flush=True)
ask(ProtectionEnabled=True, ExpiresInMinutes=60)
ask()
time.sleep(60)
"""


def service_task(cluster: Cluster, **container: Any) -> Any:
    cluster.create_service(cluster.register(cluster.container("exec sleep 60") | container))
    cluster.await_rollout()
    (task,) = cluster.service_tasks()
    return task


def update(cluster: Cluster, arn: str, **more: Any) -> Any:
    return cluster.ecs.update_task_protection(cluster=cluster.name, tasks=[arn], **more)


def test_protection_has_an_end(cluster: Cluster) -> None:
    task = service_task(cluster)
    now = datetime.now(UTC)
    answer = update(cluster, task.task_arn, protectionEnabled=True)
    (shown,) = answer["protectedTasks"]
    assert shown["protectionEnabled"] is True
    assert abs(shown["expirationDate"] - now - timedelta(minutes=120)) < timedelta(seconds=10)
    found = cluster.ecs.get_task_protection(cluster=cluster.name, tasks=[task.task_arn])
    assert found["protectedTasks"] == [shown]
    answer = update(cluster, task.task_arn, protectionEnabled=False)
    assert answer["protectedTasks"] == [{"taskArn": task.task_arn, "protectionEnabled": False}]


def test_a_protected_task_is_not_scaled_in_until_its_protection_ends(cluster: Cluster) -> None:
    task = service_task(cluster)
    task.protect(datetime.now(UTC) + timedelta(seconds=0.5))
    cluster.ecs.update_service(cluster=cluster.name, service="web", desiredCount=0)
    task.wait_for("STOPPED")
    assert task.moments["stoppingAt"] >= task.protected_until


def test_a_task_protects_itself_through_the_agent(cluster: Cluster) -> None:
    task = service_task(cluster, command=["python", "-c", PROTECT])
    eventually(lambda: len(cluster.logs(task)) == 2)
    first, second = (json.loads(line)["protection"] for line in cluster.logs(task))
    assert first == second
    assert first["ProtectionEnabled"] is True
    assert first["TaskArn"] == task.task_arn
    assert task.protected


def test_only_tasks_of_services_can_be_protected(cluster: Cluster) -> None:
    task = cluster.run("sleep 60")
    answer = update(cluster, task.task_arn, protectionEnabled=True)
    assert answer["failures"][0]["reason"] == "TASK_NOT_VALID"
    assert answer["protectedTasks"] == []
    assert not task.protected
    assert update(cluster, "0" * 32, protectionEnabled=True)["failures"][0]["reason"] == "MISSING"


@pytest.mark.parametrize("minutes", [0, 2881])
def test_minutes_out_of_range(cluster: Cluster, minutes: int) -> None:
    task = service_task(cluster)
    with pytest.raises(ClientError, match="between 1 and 2880"):
        update(cluster, task.task_arn, protectionEnabled=True, expiresInMinutes=minutes)


def test_no_more_tasks_than_wanted_are_protected(cluster: Cluster) -> None:
    old = service_task(cluster)
    update(cluster, old.task_arn, protectionEnabled=True)
    definition = cluster.register(cluster.container("exec sleep 60"))
    cluster.ecs.update_service(cluster=cluster.name, service="web", taskDefinition=definition)
    eventually(lambda: cluster.service()["runningCount"] == 2)
    (new,) = [task for task in cluster.service_tasks() if task.id != old.id]
    answer = update(cluster, new.task_arn, protectionEnabled=True)
    assert answer["failures"][0]["reason"] == "DEPLOYMENT_BLOCKED"
    # A protection that is there can be renewed.
    assert update(cluster, old.task_arn, protectionEnabled=True)["failures"] == []
    update(cluster, old.task_arn, protectionEnabled=False)
    assert update(cluster, new.task_arn, protectionEnabled=True)["failures"] == []


def test_a_task_that_fails_its_health_check_goes_although_it_is_protected(
    cluster: Cluster,
) -> None:
    check = {"command": ["CMD-SHELL", "test ! -e $HOME/sick"], "interval": 1, "retries": 1}
    task = service_task(cluster, command=["sh", "-c", "echo $HOME; sleep 60"], healthCheck=check)
    update(cluster, task.task_arn, protectionEnabled=True)
    (Path(cluster.logs(task)[0]) / "sick").touch()
    assert cluster.describe(task.wait_for("STOPPED"))["stopCode"] == "ServiceSchedulerInitiated"
