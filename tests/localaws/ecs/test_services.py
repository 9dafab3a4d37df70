"""The service scheduler, with real tasks."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import psutil
import pytest
from botocore.exceptions import ClientError

from localaws.account import LocalAccount
from localaws.faults import DeadTask, SlowTask
from tests.localaws.conftest import Cluster, lookup
from tests.waiting import eventually

# Ends at once on SIGTERM.
FOREVER = "exec sleep 60"


def test_a_service_has_as_many_tasks_as_it_wants(cluster: Cluster) -> None:
    definition = cluster.register(cluster.container(FOREVER))
    cluster.create_service(definition, desiredCount=2)
    shown = cluster.await_rollout()
    assert (shown["runningCount"], shown["pendingCount"], shown["desiredCount"]) == (2, 0, 2)
    deployment = shown["deployments"][0]
    assert (deployment["status"], deployment["taskDefinition"]) == ("PRIMARY", definition)
    assert (deployment["desiredCount"], deployment["runningCount"]) == (2, 2)
    for task in cluster.service_tasks():
        described = cluster.describe(task)
        assert described["startedBy"] == deployment["id"]
        assert described["group"] == "service:web"
    assert "has reached a steady state" in shown["events"][0]["message"]
    cluster.ecs.update_service(cluster=cluster.name, service="web", desiredCount=1)
    eventually(lambda: cluster.service()["runningCount"] == 1)
    assert cluster.service()["deployments"][0]["id"] == deployment["id"]


def test_desired_count_zero_drains_and_then_it_can_be_deleted(cluster: Cluster) -> None:
    cluster.create_service(cluster.register(cluster.container(FOREVER)))
    cluster.await_rollout()
    (task,) = cluster.service_tasks()
    with pytest.raises(ClientError, match="cannot be stopped while it is scaled above 0"):
        cluster.ecs.delete_service(cluster=cluster.name, service="web")
    cluster.ecs.update_service(cluster=cluster.name, service="web", desiredCount=0)
    shown = cluster.describe(task.wait_for("STOPPED"))
    assert shown["stopCode"] == "ServiceSchedulerInitiated"
    assert "Scaling activity initiated by (deployment ecs-svc/" in shown["stoppedReason"]
    cluster.ecs.delete_service(cluster=cluster.name, service="web")
    eventually(lambda: cluster.service()["status"] == "INACTIVE")


def test_force_deletes_a_service_with_its_tasks_and_its_name_is_free(cluster: Cluster) -> None:
    definition = cluster.register(cluster.container(FOREVER))
    cluster.create_service(definition)
    with pytest.raises(ClientError, match="not idempotent"):
        cluster.create_service(definition)
    cluster.await_rollout()
    (task,) = cluster.service_tasks()
    with pytest.raises(ClientError, match="ClusterContainsServicesException"):
        cluster.ecs.delete_cluster(cluster=cluster.name)
    deleted = cluster.ecs.delete_service(cluster=cluster.name, service="web", force=True)
    assert deleted["service"]["status"] == "DRAINING"
    task.wait_for("STOPPED")
    eventually(lambda: cluster.service()["status"] == "INACTIVE")
    assert cluster.ecs.list_services(cluster=cluster.name)["serviceArns"] == []
    cluster.create_service(definition)
    assert cluster.await_rollout()["status"] == "ACTIVE"


def test_a_dead_task_is_replaced(cluster: Cluster) -> None:
    cluster.create_service(cluster.register(cluster.container("echo $$; exec sleep 60")))
    cluster.await_rollout()
    (first,) = cluster.service_tasks()
    eventually(lambda: bool(cluster.logs(first)))
    psutil.Process(int(cluster.logs(first)[0])).send_signal(signal.SIGKILL)
    first.wait_for("STOPPED")
    assert cluster.describe(first)["stopCode"] == "EssentialContainerExited"
    eventually(lambda: [t.status for t in cluster.service_tasks()] == ["RUNNING"])
    (second,) = cluster.service_tasks()
    assert second.id != first.id


def test_a_rollout_shows_both_addresses_and_ends_with_the_new_one(
    cluster: Cluster, local_account: LocalAccount
) -> None:
    name = f"web.{cluster.name}.internal"
    registry = cluster.registry(f"{cluster.name}.internal")
    old_definition = cluster.register(cluster.container(FOREVER))
    cluster.create_service(old_definition, serviceRegistries=[{"registryArn": registry}])
    cluster.await_rollout()
    (old,) = cluster.service_tasks()
    assert lookup(local_account, name) == [(old.placement.address, 10)]

    # The new task is ready while the old one is held: both names are there.
    protect(cluster, old.task_arn)
    new_definition = cluster.register(cluster.container(FOREVER))
    cluster.ecs.update_service(cluster=cluster.name, service="web", taskDefinition=new_definition)
    eventually(lambda: cluster.service()["runningCount"] == 2)
    (new,) = [task for task in cluster.service_tasks() if task.id != old.id]
    both = sorted([(old.placement.address, 10), (new.placement.address, 10)])
    eventually(lambda: lookup(local_account, name) == both)
    primary, active = cluster.service()["deployments"]
    assert (primary["status"], primary["taskDefinition"]) == ("PRIMARY", new_definition)
    assert (active["status"], active["taskDefinition"]) == ("ACTIVE", old_definition)
    assert primary["rolloutState"] == "IN_PROGRESS"

    protect(cluster, old.task_arn, enabled=False)
    old.wait_for("STOPPED")
    shown = cluster.await_rollout()
    assert [one["taskDefinition"] for one in shown["deployments"]] == [new_definition]
    assert lookup(local_account, name) == [(new.placement.address, 10)]


def protect(cluster: Cluster, arn: str, enabled: bool = True) -> None:
    answer = cluster.ecs.update_task_protection(
        cluster=cluster.name, tasks=[arn], protectionEnabled=enabled
    )
    assert answer["failures"] == []


def test_the_old_task_runs_until_the_new_one_is_ready(
    cluster: Cluster, local_account: LocalAccount
) -> None:
    cluster.create_service(cluster.register(cluster.container(FOREVER)))
    cluster.await_rollout()
    (old,) = cluster.service_tasks()
    slow = local_account.faults.add(SlowTask(seconds=0.5))
    definition = cluster.register(cluster.container(FOREVER))
    cluster.ecs.update_service(cluster=cluster.name, service="web", taskDefinition=definition)
    slow.wait_for_hit()
    shown = cluster.service()
    assert (shown["runningCount"], shown["pendingCount"]) == (1, 1)
    (new,) = [task for task in cluster.service_tasks() if task.id != old.id]
    old.wait_for("STOPPED")
    assert old.moments["stoppingAt"] >= new.moments["startedAt"]


def test_what_starts_a_deployment_and_what_does_not(cluster: Cluster) -> None:
    definition = cluster.register(cluster.container(FOREVER))
    cluster.create_service(definition)
    first = cluster.await_rollout()["deployments"][0]["id"]

    def update(**changes: Any) -> str:
        answer = cluster.ecs.update_service(cluster=cluster.name, service="web", **changes)
        return str(answer["service"]["deployments"][0]["id"])

    configuration = {"maximumPercent": 150, "minimumHealthyPercent": 50}
    assert update(taskDefinition=definition) == first
    assert update(deploymentConfiguration=configuration) == first
    forced = update(forceNewDeployment=True)
    assert forced != first
    assert update(taskDefinition=cluster.register(cluster.container(FOREVER))) != forced


def test_an_unhealthy_task_is_replaced(cluster: Cluster) -> None:
    check = {"command": ["CMD-SHELL", "test -e $HOME/healthy"], "interval": 1, "retries": 1}
    script = "touch $HOME/healthy; echo $HOME; sleep 60"
    cluster.create_service(cluster.register(cluster.container(script, healthCheck=check)))
    cluster.await_rollout()
    (sick,) = cluster.service_tasks()
    assert cluster.describe(sick)["healthStatus"] == "HEALTHY"
    (Path(cluster.logs(sick)[0]) / "healthy").unlink()
    shown = cluster.describe(sick.wait_for("STOPPED"))
    assert shown["stoppedReason"] == "Task failed container health checks"
    assert shown["stopCode"] == "ServiceSchedulerInitiated"
    eventually(lambda: [t.health for t in cluster.service_tasks()] == ["HEALTHY"])


def test_a_service_is_not_ready_before_its_health_check_passes(cluster: Cluster) -> None:
    check = {"command": ["CMD-SHELL", "test -e $HOME/healthy"], "interval": 1, "retries": 10}
    script = "sleep 0.5; touch $HOME/healthy; sleep 60"
    cluster.create_service(cluster.register(cluster.container(script, healthCheck=check)))
    eventually(lambda: cluster.service()["runningCount"] == 1)
    assert cluster.service()["deployments"][0]["rolloutState"] == "IN_PROGRESS"
    (task,) = cluster.service_tasks()
    assert task.health == "UNKNOWN"
    cluster.await_rollout()
    assert task.health == "HEALTHY"


BREAKER = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}


def test_the_circuit_breaker_rolls_back(cluster: Cluster, local_account: LocalAccount) -> None:
    good = cluster.register(cluster.container(FOREVER))
    cluster.create_service(good, deploymentConfiguration=BREAKER)
    cluster.await_rollout()
    (task,) = cluster.service_tasks()
    dead = local_account.faults.add(DeadTask(times=None, where={"taskDefinitionArn": ":2$"}))
    bad = cluster.register(cluster.container(FOREVER))
    cluster.ecs.update_service(cluster=cluster.name, service="web", taskDefinition=bad)
    eventually(lambda: cluster.service()["taskDefinition"] == good)
    shown = cluster.await_rollout()
    # Half of the desired count, and at least three: desired 1 takes three failures.
    assert dead.hits == 3
    assert [one["taskDefinition"] for one in shown["deployments"]] == [good]
    assert task.status == "RUNNING" or len(cluster.service_tasks()) == 1
    assert any("rolling back to" in event["message"] for event in shown["events"])


def test_without_rollback_the_deployment_stays_failed_and_the_old_task_runs(
    cluster: Cluster, local_account: LocalAccount
) -> None:
    breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": False}}
    cluster.create_service(
        cluster.register(cluster.container(FOREVER)), deploymentConfiguration=breaker
    )
    cluster.await_rollout()
    dead = local_account.faults.add(DeadTask(times=None, where={"taskDefinitionArn": ":2$"}))
    bad = cluster.register(cluster.container(FOREVER))
    cluster.ecs.update_service(cluster=cluster.name, service="web", taskDefinition=bad)
    primary, active = cluster.await_rollout("FAILED")["deployments"]
    assert (primary["failedTasks"], active["runningCount"]) == (3, 1)
    assert dead.hits == 3


def test_a_definition_that_is_gone_is_an_event(cluster: Cluster) -> None:
    definition = cluster.register(cluster.container("exit 1"))
    cluster.create_service(definition)
    cluster.ecs.deregister_task_definition(taskDefinition=definition)
    eventually(lambda: any("is inactive" in one["message"] for one in cluster.service()["events"]))


def test_tags_of_a_service(cluster: Cluster) -> None:
    definition = cluster.register(cluster.container(FOREVER))
    tags = [{"key": "team", "value": "a"}]
    created = cluster.create_service(definition, tags=tags, propagateTags="SERVICE")
    cluster.await_rollout()
    (task,) = cluster.service_tasks()
    assert cluster.describe(task, include=["TAGS"])["tags"] == tags
    arn = created["serviceArn"]
    cluster.ecs.tag_resource(resourceArn=arn, tags=[{"key": "more", "value": "b"}])
    shown = cluster.ecs.list_tags_for_resource(resourceArn=arn)["tags"]
    assert {tag["key"] for tag in shown} == {"team", "more"}
    found = cluster.ecs.describe_services(cluster=cluster.name, services=[arn], include=["TAGS"])
    assert found["services"][0]["tags"] == shown


def test_unknown_services_are_missing(cluster: Cluster) -> None:
    found = cluster.ecs.describe_services(cluster=cluster.name, services=["none"])
    assert found["failures"][0]["reason"] == "MISSING"
    with pytest.raises(ClientError, match="ServiceNotFoundException"):
        cluster.ecs.update_service(cluster=cluster.name, service="none", desiredCount=1)
