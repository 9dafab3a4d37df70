"""What each of EcsRunLauncher's tags may hold, and what is said where it holds something else."""

import json
from typing import Any

import pytest

from run_isolation import LaunchTagsError, Size
from run_isolation.isolated.ecs_wishes import Asked, read
from run_isolation.problem import Problem
from tests.runtime.manifests import MANIFEST

SALES = MANIFEST.locations["sales"]


def asked(**tags: Any) -> Asked:
    texts = {
        f"ecs/{name}": value if isinstance(value, str) else json.dumps(value)
        for name, value in tags.items()
    }
    return read("run-a", texts, SALES)


def problems(**tags: Any) -> list[Problem]:
    with pytest.raises(LaunchTagsError) as refused:
        asked(**tags)
    return list(refused.value.problems)


def test_other_tags_ask_for_nothing() -> None:
    tags = {"ecs/task_arn": "arn:x", "ecs/cluster": "c", "team": "a", "ecs/cpu": ""}

    assert read("run-a", tags, SALES) == Asked(container={"environment": {}})


def test_the_order_is_that_of_ecs_run_launcher() -> None:
    task = {"cpu": "1024", "memory": 2048, "ephemeralStorage": {"sizeInGiB": 50}}

    found = asked(cpu="8192", memory="16384", ephemeral_storage="100", task_overrides=task)

    assert found.size == Size(cpu=1024, memory=2048)
    assert found.disk == 100
    assert asked(task_overrides=task).disk == 50


def test_the_container_of_two_tags_is_one() -> None:
    task = {
        "containerOverrides": [
            {"cpu": 10, "memory": 100, "environment": [{"name": "A", "value": "1"}]},
            {"name": "dagster", "environment": [{"name": "B", "value": "1"}]},
        ]
    }
    own = {"cpu": 20, "environment": [{"name": "B", "value": "2"}]}

    container = asked(task_overrides=task, container_overrides=own).container

    assert container["environment"] == {"A": "1", "B": "2"}
    assert (container["cpu"], container["memory"]) == (20, 100)


@pytest.mark.parametrize(
    ("tag", "value", "key", "allowed", "nearest"),
    [
        ("cpu", "4 vCPU", "cpu", "a whole number", None),
        ("cpu", "3000", "cpu", "256, 512", "2048"),
        ("ephemeral_storage", "10", "ephemeral_storage", "21 to 200 GiB", "21"),
        ("ephemeral_storage", "big", "ephemeral_storage", "a whole number", None),
        ("task_overrides", "{'cpu': '256'}", "task_overrides", "a JSON object", '{"cpu": "256"}'),
        ("task_overrides", "{", "task_overrides", "a JSON object", None),
        ("task_overrides", [1], "task_overrides", "an object", None),
        ("task_overrides", {"cpus": 1}, "task_overrides.cpus", "no key that ECS", "cpu"),
        ("task_overrides", {"cpu": 300}, "task_overrides.cpu", "256, 512", "256"),
        ("task_overrides", {"cpu": "1 vCPU"}, "task_overrides.cpu", "a whole number", None),
        (
            "task_overrides",
            {"ephemeralStorage": {"sizeInGiB": 500}},
            "task_overrides.ephemeralStorage.sizeInGiB",
            "21 to 200 GiB",
            "200",
        ),
        (
            "task_overrides",
            {"containerOverrides": [{"name": "run"}]},
            "task_overrides.containerOverrides.0.name",
            "'dagster'",
            None,
        ),
        (
            "container_overrides",
            {"resourceRequirements": [{"type": "GPU", "value": "1"}]},
            "container_overrides.resourceRequirements",
            "nothing: Fargate has neither GPUs",
            None,
        ),
        (
            "container_overrides",
            {"environment": [{"name": "RUN_ISOLATION_RUN_ID", "value": "x"}]},
            "container_overrides.environment.0.name",
            "any name but RUN_ISOLATION_*",
            None,
        ),
        (
            "container_overrides",
            {"command": ["dagster", "api"]},
            "container_overrides.command",
            "ends in `run-isolation run`",
            None,
        ),
        ("container_overrides", {"cpu": "1"}, "container_overrides.cpu", "a valid integer", None),
        (
            "container_overrides",
            {"memory": 99999},
            "container_overrides.memory",
            "1 to 16384, what the task has",
            "16384",
        ),
        ("run_task_kwargs", {"cluster": "x"}, "run_task_kwargs.cluster", "cluster only", None),
        (
            "run_task_kwargs",
            {"taskDefinition": "x"},
            "run_task_kwargs.taskDefinition",
            "nothing: the run executes the revision",
            None,
        ),
        ("run_task_kwargs", {"count": 2}, "run_task_kwargs.count", "nothing: a run has one", None),
        ("run_task_kwargs", {"clientToken": "x"}, "run_task_kwargs.clientToken", "nothing:", None),
        ("run_task_kwargs", {"startedBy": "x"}, "run_task_kwargs.startedBy", "nothing:", None),
        ("run_task_kwargs", {"overrides": {}}, "run_task_kwargs.overrides", "nothing:", None),
        ("run_task_kwargs", {"launchType": "EC2"}, "run_task_kwargs.launchType", "FARGATE", None),
        (
            "run_task_kwargs",
            {"capacityProviderStrategy": [{"capacityProvider": "mine"}]},
            "run_task_kwargs.capacityProviderStrategy.0.capacityProvider",
            "'FARGATE' or 'FARGATE_SPOT'",
            None,
        ),
        (
            "run_task_kwargs",
            {"networkConfiguration": {"awsvpcConfiguration": {"subnets": []}}},
            "run_task_kwargs.networkConfiguration.awsvpcConfiguration.subnets",
            "at least 1 item",
            None,
        ),
        (
            "run_task_kwargs",
            {"tags": [{"key": "AWS:x", "value": "y"}]},
            "run_task_kwargs.tags.0.key",
            "not from aws: on",
            None,
        ),
        (
            "run_task_kwargs",
            {"tags": [{"key": "k" * 129, "value": "y"}]},
            "run_task_kwargs.tags.0.key",
            "1 to 128",
            None,
        ),
        (
            "run_task_kwargs",
            {"tags": [{"key": "k", "value": "v" * 257}]},
            "run_task_kwargs.tags.0.value",
            "up to 256",
            None,
        ),
    ],
)
def test_what_is_refused(tag: str, value: Any, key: str, allowed: str, nearest: str | None) -> None:
    [problem] = problems(**{tag: value})

    assert problem.key == f"ecs/{key}"
    assert allowed in problem.allowed
    assert problem.nearest == nearest
    assert len(problem.value) <= 201


def test_everything_that_is_wrong_is_told_at_once() -> None:
    found = problems(cpu="x", ephemeral_storage="1", run_task_kwargs={"count": 2, "group": 1})

    assert [problem.key for problem in found] == [
        "ecs/run_task_kwargs.group",
        "ecs/run_task_kwargs.count",
        "ecs/cpu",
        "ecs/ephemeral_storage",
    ]


def test_no_network_configuration_is_ours() -> None:
    # EcsRunLauncher leaves it out then; Fargate needs one.
    arguments = asked(run_task_kwargs={"networkConfiguration": None}).arguments

    assert arguments.given() == {}
