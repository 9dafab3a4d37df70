"""A run that ended elsewhere, or otherwise, than it should is never called good."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from run_isolation.slots.decision import Kind
from tools.local.code_server import Served
from tools.local.demo import Ask
from tools.local.results import Launched, Placed
from tools.local.standing import Standing
from tools.local.verdict import judge, judge_tasks, place

HOME, OWN = "arn:home", "arn:own"
SHARED = Ask("sales", "job", "why", Kind.NON_ISOLATED, "a slot was free")
ALONE = Ask("sales", "job", "why", Kind.ISOLATED, "the default")


def launched(ask: Ask, **other: Any) -> Launched:
    """What the ask should become."""
    good = {
        "run_id": "run",
        "location": ask.location,
        "job": ask.job,
        "why": ask.why,
        "kind": ask.becomes.value,
        "reason": f"Because: {ask.because}.",
        "task": HOME if ask is SHARED else OWN,
        "status": "SUCCESS",
        "seconds_to_start": 1.0,
    }
    return Launched.model_validate(good | other)


def task(**other: Any) -> dict[str, Any]:
    containers = [{"name": "dagster", "exitCode": 0}, {"name": "sidecar", "exitCode": 143}]
    return {"taskArn": OWN, "cpu": "4096", "memory": "16384", "containers": containers} | other


@pytest.mark.parametrize("ask", [SHARED, ALONE])
def test_as_it_should_be(ask: Ask) -> None:
    assert judge(ask, launched(ask), HOME) == []


@pytest.mark.parametrize(
    ("ask", "other", "fault"),
    [
        (SHARED, {"status": "FAILURE"}, "ended as FAILURE"),
        (SHARED, {"kind": "isolated"}, "became isolated, not non-isolated"),
        (SHARED, {"reason": "It was free."}, "does not say"),
        (SHARED, {"task": OWN}, "not executed in its location's standing container"),
        (ALONE, {"kind": "unknown"}, "became unknown"),
    ],
)
def test_what_dagster_says(ask: Ask, other: dict[str, Any], fault: str) -> None:
    [found] = judge(ask, launched(ask, **other), HOME)
    assert fault in found


def test_an_isolated_run_has_one_task_of_its_size_that_ended_well() -> None:
    assert judge_tasks(ALONE, OWN, [task()]) == []


@pytest.mark.parametrize(
    ("ask", "by", "tasks", "fault"),
    [
        (SHARED, HOME, [task()], "started task arn:own"),
        (ALONE, HOME, [], "started 0 tasks"),
        (ALONE, OWN, [task(), task()], "started 2 tasks"),
        (ALONE, HOME, [task()], "executed by arn:home, not by its own"),
        (ALONE, "", [task()], "executed by no task, not by its own"),
        (ALONE, OWN, [task(cpu="256")], "256 CPU units, 16384 MiB, not 4096 and 16384"),
        (ALONE, OWN, [task(containers=[{"name": "dagster", "exitCode": 3}])], "exit code 3"),
        (ALONE, OWN, [task(containers=[{"name": "dagster"}])], "exit code None"),
    ],
)
def test_what_ecs_says(ask: Ask, by: str, tasks: list[dict[str, Any]], fault: str) -> None:
    [found] = judge_tasks(ask, by, tasks)
    assert fault in found


def placed(ask: Ask, run: Launched, stopped: list[dict[str, Any]]) -> Placed:
    """What is said of a run where these tasks of the cluster have stopped and none is running."""
    standing = Standing(
        location=ask.location,
        host="sales.local.run-isolation.internal",
        address="127.64.0.1:4000",
        task=HOME,
        task_definition="sales-standing:1",
        cpu=256,
        memory=1024,
        log_group="/run-isolation/local/sales",
        serves=Served(assets=[], jobs=[], sensors=[], schedules=[], repositories={}),
    )
    ecs = boto3.client("ecs", region_name="us-east-1")
    running = {"cluster": "local", "startedBy": run.run_id}
    over = {"cluster": "local", "desiredStatus": "STOPPED"}
    arns = [one["taskArn"] for one in stopped]
    with Stubber(ecs) as stub:
        stub.add_response("list_tasks", {"taskArns": []}, running)
        stub.add_response("list_tasks", {"taskArns": arns}, over)
        stub.add_response("list_tasks", {"taskArns": []}, running)
        stub.add_response("describe_tasks", {"tasks": stopped}, {"cluster": "local", "tasks": arns})
        if run.task not in arns:
            shared = task(taskArn=run.task, cpu="256", memory="1024")
            asked = {"cluster": "local", "tasks": [run.task]}
            stub.add_response("describe_tasks", {"tasks": [shared]}, asked)
        [result] = place(ecs, "local", [standing], [(ask, run)])
    return result


OTHER_RUNS = task(taskArn="arn:other", startedBy="another-run")


def test_an_isolated_run_is_shown_with_its_own_task_among_others() -> None:
    own = task(startedBy="run", taskDefinitionArn="arn:aws:ecs:::task-definition/sales:7")
    result = placed(ALONE, launched(ALONE), [OTHER_RUNS, own])
    assert (result.faults, result.task_definition, result.cpu) == ([], "sales:7", 4096)


def test_a_non_isolated_run_is_shown_with_the_standing_task() -> None:
    result = placed(SHARED, launched(SHARED), [OTHER_RUNS])
    assert (result.faults, result.cpu, result.memory) == ([], 256, 1024)


def test_tasks_are_found_by_the_run_that_they_were_started_for() -> None:
    assert placed(ALONE, launched(ALONE), [OTHER_RUNS]).faults == ["started 0 tasks"]
    own = task(startedBy="run")
    assert placed(SHARED, launched(SHARED), [own]).faults == ["started task arn:own"]
