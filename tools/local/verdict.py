"""Did each run become what it should, and where it should? Asked of AWS, not of Dagster alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import tenacity
from dagster import DagsterRunStatus

from run_isolation.isolated.run_task import started_by
from run_isolation.slots.decision import Kind
from run_isolation.tasks import CONTAINER
from tools.local.demo import Ask
from tools.local.results import Launched, Placed
from tools.local.standing import Standing

if TYPE_CHECKING:
    from types_boto3_ecs import ECSClient

STOP_PATIENCE = 30.0
"""Seconds from the end of a run to the end of its task."""


def place(
    ecs: ECSClient, cluster: str, standing: Sequence[Standing], runs: Sequence[tuple[Ask, Launched]]
) -> list[Placed]:
    """Find each run's task and judge it."""
    home = {one.location: one.task for one in standing}
    return [_place(ecs, cluster, home[ask.location], ask, run) for ask, run in runs]


def _place(ecs: ECSClient, cluster: str, home: str, ask: Ask, run: Launched) -> Placed:
    own = _own_tasks(ecs, cluster, run)
    faults = [*judge(ask, run, home), *judge_tasks(ask, run.task, own)]
    task = next((one for one in own if one["taskArn"] == run.task), None) or _described(
        ecs, cluster, run
    )
    return Placed(
        run=run,
        task_definition=str(task.get("taskDefinitionArn", "")).rpartition("/")[2],
        cpu=int(task["cpu"]) if "cpu" in task else None,
        memory=int(task["memory"]) if "memory" in task else None,
        faults=faults,
    )


def judge(ask: Ask, run: Launched, home: str) -> list[str]:
    """What Dagster's storage says that should not be.

    Args:
        ask: What was asked for, and what it must become.
        run: What it became.
        home: ARN of its code location's standing task.
    """
    faults = []
    if run.status != DagsterRunStatus.SUCCESS.value:
        faults.append(f"ended as {run.status}")
    if run.kind != ask.becomes:
        faults.append(f"became {run.kind}, not {ask.becomes}")
    if ask.because not in run.reason:
        faults.append(f"its reason does not say {ask.because!r}")
    if ask.becomes is Kind.NON_ISOLATED and run.task != home:
        faults.append("was not executed in its location's standing container")
    return faults


def judge_tasks(ask: Ask, executed_by: str, own: Sequence[Mapping[str, Any]]) -> list[str]:
    """What ECS says about the tasks that were started for the run.

    Args:
        ask: What was asked for, and what it must become.
        executed_by: ARN of the task that executed it.
        own: The tasks, as DescribeTasks shows them.
    """
    if ask.becomes is Kind.NON_ISOLATED:
        return [f"started task {task['taskArn']}" for task in own]
    if len(own) != 1:
        return [f"started {len(own)} tasks"]
    [task] = own
    faults = []
    if task["taskArn"] != executed_by:
        faults.append(f"was executed by {executed_by or 'no task'}, not by its own")
    if (int(task["cpu"]), int(task["memory"])) != (ask.cpu, ask.memory):
        size = f"{task['cpu']} CPU units, {task['memory']} MiB"
        faults.append(f"its task had {size}, not {ask.cpu} and {ask.memory}")
    [container] = [one for one in task["containers"] if one["name"] == CONTAINER]
    if container.get("exitCode") != 0:
        faults.append(f"its task ended with exit code {container.get('exitCode')}")
    return faults


def _own_tasks(ecs: ECSClient, cluster: str, run: Launched) -> list[Mapping[str, Any]]:
    """The tasks that were started for a run; waits until they have stopped."""
    mine = started_by(run.run_id)

    def running() -> list[str]:
        return ecs.list_tasks(cluster=cluster, startedBy=mine)["taskArns"]

    tenacity.Retrying(
        retry=tenacity.retry_if_result(bool),
        stop=tenacity.stop_after_delay(STOP_PATIENCE),
        wait=tenacity.wait_fixed(0.3),
        retry_error_callback=lambda state: None,
    )(running)
    pages = ecs.get_paginator("list_tasks").paginate(cluster=cluster, desiredStatus="STOPPED")
    arns = [arn for page in pages for arn in page["taskArns"]] + running()
    found: list[Mapping[str, Any]] = []
    for first in range(0, len(arns), 100):
        found += ecs.describe_tasks(cluster=cluster, tasks=arns[first : first + 100])["tasks"]
    return [task for task in found if task.get("startedBy") == mine]


def _described(ecs: ECSClient, cluster: str, run: Launched) -> Mapping[str, Any]:
    tasks = ecs.describe_tasks(cluster=cluster, tasks=[run.task])["tasks"] if run.task else []
    return tasks[0] if tasks else {}
