"""RunTask's clientToken, rule by rule, through the API; its lifetime with a clock of our own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from localaws.account import LocalAccount
from localaws.ecs.client_tokens import ClientTokens
from localaws.ecs.states import Status, utcnow
from localaws.ecs.task import Task
from localaws.faults import RunTaskFailures
from tests.localaws.conftest import Cluster

FOREVER = "sleep 60"


def count(cluster: Cluster) -> int:
    tasks = 0
    for status in ("RUNNING", "STOPPED"):
        found = cluster.ecs.list_tasks(cluster=cluster.name, desiredStatus=status)
        tasks += len(found["taskArns"])
    return tasks


def test_same_token_and_parameters_give_the_first_answer(cluster: Cluster) -> None:
    definition = cluster.register(cluster.container(FOREVER))
    first = cluster.run_task(definition, clientToken="t")
    again = cluster.run_task(definition, clientToken="t")
    assert [t["taskArn"] for t in again["tasks"]] == [t["taskArn"] for t in first["tasks"]]
    assert count(cluster) == 1


def test_a_stopped_task_is_replayed_with_three_members(cluster: Cluster) -> None:
    definition = cluster.register(cluster.container("true"))
    task = cluster.start(definition, clientToken="t").wait_for("STOPPED")
    again = cluster.run_task(definition, clientToken="t")
    assert again["tasks"] == [
        {"taskArn": task.task_arn, "lastStatus": "STOPPED", "desiredStatus": "STOPPED"}
    ]
    assert count(cluster) == 1


CHANGES: dict[str, dict[str, Any]] = {
    "overrides": {"overrides": {"containerOverrides": [{"name": "main", "command": ["true"]}]}},
    "count": {"count": 2},
    "startedBy": {"startedBy": "x"},
    "tags": {"tags": [{"key": "a", "value": "b"}]},
}


@pytest.mark.parametrize("change", CHANGES)
def test_other_parameters_conflict_and_name_the_task(cluster: Cluster, change: str) -> None:
    definition = cluster.register(cluster.container(FOREVER))
    task = cluster.start(definition, clientToken="t")
    with pytest.raises(ClientError) as caught:
        cluster.run_task(definition, clientToken="t", **CHANGES[change])
    response = cast(dict[str, Any], caught.value.response)
    assert response["Error"]["Code"] == "ConflictException"
    assert response["resourceIds"] == [task.task_arn]
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert count(cluster) == 1


def test_other_tokens_and_other_clusters_are_other_requests(
    cluster: Cluster, local_account: LocalAccount
) -> None:
    definition = cluster.register(cluster.container(FOREVER))
    cluster.run_task(definition, clientToken="t")
    cluster.run_task(definition, clientToken="T")
    assert count(cluster) == 2
    other = Cluster(local_account, f"{cluster.name}-other", cluster.network)
    other.ecs.create_cluster(clusterName=other.name)
    other.run_task(definition, clientToken="t")
    assert count(other) == 1
    other.close()


def test_failures_are_replayed_too(cluster: Cluster, local_account: LocalAccount) -> None:
    definition = cluster.register(cluster.container(FOREVER))
    local_account.faults.add(RunTaskFailures())
    first = cluster.run_task(definition, clientToken="t")
    again = cluster.run_task(definition, clientToken="t")
    assert first["failures"] == again["failures"] != []
    assert first["tasks"] == again["tasks"] == []
    assert cluster.run_task(definition, clientToken="t2")["failures"] == []


def test_concurrent_calls_with_one_token_start_one_task(cluster: Cluster) -> None:
    definition = cluster.register(cluster.container(FOREVER))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: cluster.run_task(definition, clientToken="t"), range(8)))
    assert len({answer["tasks"][0]["taskArn"] for answer in answers}) == 1
    assert count(cluster) == 1


def test_a_forgotten_token_starts_a_second_task(
    cluster: Cluster, local_account: LocalAccount
) -> None:
    definition = cluster.register(cluster.container(FOREVER))
    cluster.run_task(definition, clientToken="t")
    local_account.ecs().tokens.forget()
    cluster.run_task(definition, clientToken="t")
    assert count(cluster) == 2


LIFETIMES = [
    # stopped after, asked after, whether the token is still known
    (None, timedelta(hours=23, minutes=59), True),
    (None, timedelta(hours=24), False),
    (timedelta(minutes=10), timedelta(minutes=69), True),
    (timedelta(minutes=10), timedelta(minutes=70), False),
    (timedelta(hours=23, minutes=30), timedelta(hours=24), False),
]


@pytest.mark.parametrize(("stopped", "asked", "known"), LIFETIMES)
def test_lifetime(stopped: timedelta | None, asked: timedelta, known: bool) -> None:
    start = utcnow()
    now = start
    tokens = ClientTokens(now=lambda: now)
    task = SimpleNamespace(
        moments={} if stopped is None else {"stoppedAt": start + stopped},
        status=Status.STOPPED if stopped else Status.RUNNING,
        task_arn="arn",
        describe=lambda tags: {"taskArn": "arn", "lastStatus": "", "desiredStatus": ""},
    )
    tokens.remember("c", {"clientToken": "t"}, [cast(Task, task)], [])
    now = start + asked
    assert (tokens.replay("c", {"clientToken": "t"}) is not None) is known


def test_failures_without_tasks_are_known_for_an_hour() -> None:
    now = utcnow()
    tokens = ClientTokens(now=lambda: now)
    tokens.remember("c", {"clientToken": "t"}, [], [{"reason": "r"}])
    now += timedelta(minutes=59)
    assert tokens.replay("c", {"clientToken": "t"}) == {"tasks": [], "failures": [{"reason": "r"}]}
    now += timedelta(minutes=1)
    assert tokens.replay("c", {"clientToken": "t"}) is None
