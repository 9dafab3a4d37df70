"""Tasks through the API: states, ends, overrides, refusals."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws.account import LocalAccount
from localaws.ecs.states import Status
from localaws.ecs.task import Task
from tests.localaws.conftest import Cluster
from tests.waiting import eventually

FOREVER = "trap 'exit 0' TERM; while :; do sleep 0.05; done"


def test_a_task_goes_through_all_states_with_their_moments(cluster: Cluster) -> None:
    task = cluster.run("exit 3").wait_for("STOPPED")
    shown = cluster.describe(task)
    moments = ["createdAt", "pullStartedAt", "pullStoppedAt", "startedAt", "stoppingAt"]
    moments += ["executionStoppedAt", "stoppedAt"]
    assert [shown[name] for name in moments] == sorted(shown[name] for name in moments)
    assert shown["lastStatus"] == shown["desiredStatus"] == "STOPPED"
    assert shown["stopCode"] == "EssentialContainerExited"
    assert shown["stoppedReason"] == "Essential container in task exited"
    assert shown["containers"][0]["exitCode"] == 3
    assert "reason" not in shown["containers"][0]


def test_states_come_in_their_order(cluster: Cluster) -> None:
    seen: list[Status] = []
    original = Task.advance

    def advance(task: Task, status: Status) -> None:
        seen.append(status)
        original(task, status)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Task, "advance", advance)
        cluster.run("true").wait_for("STOPPED")
    assert seen == list(Status)[1:]


def test_a_running_task_shows_its_address_size_and_group(cluster: Cluster) -> None:
    task = cluster.run(FOREVER).wait_for("RUNNING")
    shown = cluster.describe(task)
    details = {one["name"]: one["value"] for one in shown["attachments"][0]["details"]}
    assert details["privateIPv4Address"] == task.placement.address
    assert details["privateIPv4Address"].startswith("127.")
    assert (shown["cpu"], shown["memory"]) == ("1024", "2048")
    assert shown["group"] == f"family:{cluster.name}"
    assert shown["launchType"] == "FARGATE"
    assert "stopCode" not in shown
    assert "exitCode" not in shown["containers"][0]


def test_stop_task_says_who_and_why(cluster: Cluster) -> None:
    task = cluster.run("trap 'exit 4' TERM; echo up; while :; do sleep 0.05; done")
    eventually(lambda: cluster.logs(task.wait_for("RUNNING")) == ["up"])
    cluster.ecs.stop_task(cluster=cluster.name, task=task.task_arn, reason="enough")
    shown = cluster.describe(task.wait_for("STOPPED"))
    assert (shown["stopCode"], shown["stoppedReason"]) == ("UserInitiated", "enough")
    assert shown["containers"][0]["exitCode"] == 4


def test_a_process_that_ignores_sigterm_is_killed_after_its_stop_timeout(cluster: Cluster) -> None:
    script = "trap '' TERM; (trap '' TERM; exec sleep 60) & echo up; while :; do sleep 0.05; done"
    task = cluster.run(script, stopTimeout=1).wait_for("RUNNING")
    eventually(lambda: cluster.logs(task) == ["up"])
    cluster.ecs.stop_task(cluster=cluster.name, task=task.task_arn)
    shown = cluster.describe(task.wait_for("STOPPED"))
    assert shown["containers"][0]["exitCode"] == 137
    assert "reason" not in shown["containers"][0]
    took = (shown["executionStoppedAt"] - shown["stoppingAt"]).total_seconds()
    assert 1.0 <= took < 4.0


def test_the_end_of_an_essential_container_ends_the_others(cluster: Cluster) -> None:
    side = cluster.container(FOREVER) | {"name": "side", "essential": False}
    task = cluster.start(cluster.register(cluster.container("exit 5"), side)).wait_for("STOPPED")
    codes = {one["name"]: one["exitCode"] for one in cluster.describe(task)["containers"]}
    # The side-car may be told to stop before its shell has set the trap.
    assert codes["main"] == 5
    assert codes["side"] in (0, 143)


def test_the_end_of_a_side_car_does_not_end_the_task(cluster: Cluster) -> None:
    side = cluster.container("exit 7") | {"name": "side", "essential": False}
    task = cluster.start(cluster.register(cluster.container(FOREVER), side)).wait_for("RUNNING")
    eventually(lambda: task.containers[1].exit_code == 7)
    assert cluster.describe(task)["lastStatus"] == "RUNNING"


def test_overrides_of_command_environment_and_size(cluster: Cluster) -> None:
    environment = [{"name": "A", "value": "1"}, {"name": "B", "value": "1"}]
    definition = cluster.register(cluster.container("exit 9", environment=environment))
    overrides = {
        "cpu": "2048",
        "memory": "4096",
        "containerOverrides": [
            {
                "name": "main",
                "command": ["sh", "-c", 'echo "$A $B"'],
                "environment": [{"name": "B", "value": "2"}],
            }
        ],
    }
    task = cluster.start(definition, overrides=overrides).wait_for("STOPPED")
    shown = cluster.describe(task)
    assert cluster.logs(task) == ["1 2"]
    assert (shown["cpu"], shown["memory"]) == ("2048", "4096")
    assert shown["overrides"] == overrides
    assert shown["containers"][0]["exitCode"] == 0


def test_tags_are_those_of_the_call_and_of_the_definition_where_asked(cluster: Cluster) -> None:
    tags = [{"key": "a", "value": "definition"}, {"key": "b", "value": "definition"}]
    definition = cluster.register(cluster.container("true"), tags=tags)
    more = {"tags": [{"key": "b", "value": "call"}], "propagateTags": "TASK_DEFINITION"}
    task = cluster.start(definition, **more)
    assert "tags" not in cluster.describe(task) or not cluster.describe(task)["tags"]
    shown = cluster.describe(task, include=["TAGS"])["tags"]
    assert {tag["key"]: tag["value"] for tag in shown} == {"a": "definition", "b": "call"}


def test_describe_tasks_reports_unknown_tasks_as_missing(cluster: Cluster) -> None:
    task = cluster.run("true")
    answer = cluster.ecs.describe_tasks(cluster=cluster.name, tasks=[task.id, "0" * 32])
    assert [one["taskArn"] for one in answer["tasks"]] == [task.task_arn]
    assert answer["failures"] == [
        {"arn": task.task_arn.replace(task.id, "0" * 32), "reason": "MISSING"}
    ]


def test_list_tasks_filters(cluster: Cluster) -> None:
    definition = cluster.register(cluster.container(FOREVER))
    mine = cluster.start(definition, startedBy="me/1")
    other = cluster.start(definition, startedBy="you")

    def listed(**filters: Any) -> list[str]:
        found = cluster.ecs.list_tasks(cluster=cluster.name, **filters)
        return sorted(found["taskArns"])

    assert listed() == sorted([mine.task_arn, other.task_arn])
    assert listed(startedBy="me/1") == [mine.task_arn]
    assert listed(family=cluster.name) == listed()
    assert listed(family="other") == listed(serviceName="none") == []
    cluster.ecs.stop_task(cluster=cluster.name, task=mine.task_arn)
    assert listed(desiredStatus="STOPPED") == [mine.task_arn]
    assert listed() == [other.task_arn]
    with pytest.raises(ClientError, match="startedBy must be the only filter"):
        listed(startedBy="me/1", family=cluster.name)


def test_list_tasks_in_pages(cluster: Cluster) -> None:
    definition = cluster.register(cluster.container(FOREVER))
    arns = [one["taskArn"] for one in cluster.run_task(definition, count=3)["tasks"]]
    pages = cluster.ecs.get_paginator("list_tasks").paginate(
        cluster=cluster.name, PaginationConfig={"PageSize": 2}
    )
    listed = [page["taskArns"] for page in pages]
    assert [len(page) for page in listed] == [2, 1]
    assert sorted(arn for page in listed for arn in page) == sorted(arns)


REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "overrides too long": (
        {"overrides": {"containerOverrides": [{"name": "main", "command": ["x" * 8192]}]}},
        "at most 8192",
    ),
    "override of an unknown container": (
        {"overrides": {"containerOverrides": [{"name": "other"}]}},
        "not a container in the TaskDefinition",
    ),
    "no Fargate size": ({"overrides": {"cpu": "4096", "memory": "1024"}}, "No Fargate config"),
    "no network": ({"networkConfiguration": {}}, "Network Configuration must be provided"),
    "unknown subnet": (
        {"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-0"]}}},
        "InvalidSubnetID.NotFound",
    ),
    "too many": ({"count": 11}, "between 1 and 10"),
    "bad startedBy": ({"startedBy": "a b"}, "startedBy"),
    "tag twice": (
        {"tags": [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}]},
        "Duplicate tag keys",
    ),
    "bad token": ({"clientToken": "ä"}, "33-126"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_run_task_refuses(cluster: Cluster, case: str) -> None:
    change, message = REFUSALS[case]
    definition = cluster.register(cluster.container("true"))
    with pytest.raises(ClientError, match=message):
        cluster.run_task(definition, **change)
    assert cluster.ecs.list_tasks(cluster=cluster.name)["taskArns"] == []


def test_overrides_of_exactly_the_limit_are_taken(cluster: Cluster) -> None:
    definition = cluster.register(cluster.container("true"))
    frame = len('{"containerOverrides":[{"name":"main","command":["true",""]}]}')
    command = ["true", "x" * (8192 - frame)]
    overrides = {"containerOverrides": [{"name": "main", "command": command}]}
    assert cluster.run_task(definition, overrides=overrides)["failures"] == []


def test_inactive_definitions_are_refused_and_families_mean_the_latest_active(
    cluster: Cluster,
) -> None:
    first = cluster.register(cluster.container("true"))
    second = cluster.register(cluster.container("true"))
    assert cluster.start(cluster.name).definition.arn == second
    cluster.ecs.deregister_task_definition(taskDefinition=second)
    assert cluster.start(cluster.name).definition.arn == first
    with pytest.raises(ClientError, match="TaskDefinition is inactive"):
        cluster.run_task(second)


def test_a_revision_number_is_never_used_twice(cluster: Cluster) -> None:
    first = cluster.register(cluster.container("true"))
    cluster.ecs.deregister_task_definition(taskDefinition=first)
    cluster.ecs.delete_task_definitions(taskDefinitions=[first])
    assert cluster.register(cluster.container("true")).endswith(":2")


def test_a_cluster_with_tasks_cannot_be_deleted(cluster: Cluster) -> None:
    task = cluster.run(FOREVER).wait_for("RUNNING")
    counts = cluster.ecs.describe_clusters(clusters=[cluster.name])["clusters"][0]
    assert (counts["runningTasksCount"], counts["pendingTasksCount"]) == (1, 0)
    with pytest.raises(ClientError, match="ClusterContainsTasksException"):
        cluster.ecs.delete_cluster(cluster=cluster.name)
    task.request_stop("UserInitiated", "test")
    task.wait_for("STOPPED")
    assert cluster.ecs.delete_cluster(cluster=cluster.name)["cluster"]["status"] == "INACTIVE"
    with pytest.raises(ClientError, match="ClusterNotFoundException"):
        cluster.ecs.list_tasks(cluster=cluster.name)
    cluster.ecs.create_cluster(clusterName=cluster.name)


def test_wait_for_says_what_did_not_happen(cluster: Cluster) -> None:
    task = cluster.run(FOREVER).wait_for("RUNNING")
    with pytest.raises(TimeoutError, match=r"RUNNING.* did not be STOPPED within 0\.01 s"):
        task.wait_for("STOPPED", timeout=0.01)


def test_many_tasks_at_once_all_end_and_leave_no_thread(
    cluster: Cluster, local_account: LocalAccount
) -> None:
    definition = cluster.register(cluster.container("exit 0"))
    arns = [one["taskArn"] for one in cluster.run_task(definition, count=10)["tasks"]]
    tasks = [local_account.task(arn).wait_for("STOPPED", 30) for arn in arns]
    assert {task.containers[0].exit_code for task in tasks} == {0}
    assert len({task.placement.address for task in tasks}) == 10
    ids = tuple(task.id for task in tasks)
    eventually(lambda: not any(t.name.endswith(ids) for t in threading.enumerate()))
