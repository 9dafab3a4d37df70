"""Faults of tasks: they die, or ECS shows of them what it should not."""

from __future__ import annotations

from typing import Any, Final

from dagster import DagsterRun

from tests.faults.stage import Seen, Stage, within
from tests.runtime.dagster.account import LOCATION
from tests.waiting import eventually

SECOND_SECONDS: Final = 10
SHORT_TIMEOUT_SECONDS: Final = 20
"""A start timeout that ends within a test."""
UNNOTICED_SECONDS: Final = 20
"""When a run whose task is gone counts as forgotten: the monitor has looked some twenty times."""


def dead_before_start(stage: Stage) -> Seen:
    """The task stops before its container starts, for a reason that passes."""
    stage.account.fault("dead_task")
    return stage.look(stage.submit(), tells="network interface provisioning")


def out_of_memory(stage: Stage) -> Seen:
    """The run takes more memory than its task has; the kernel kills it."""
    return stage.look(stage.submit(fill_memory=True), tells="OutOfMemory")


def exit_0_unfinished(stage: Stage) -> Seen:
    """The run's process ends with exit code 0 in the middle of the run."""
    run = stage.submit(exit_code=0)
    stage.wait_for_code()
    return stage.look(run, tells="exit code 0|EssentialContainerExited", patience=UNNOTICED_SECONDS)


def empty_containers(stage: Stage) -> Seen:
    """The run's process is killed, and ECS shows the stopped task without containers."""
    run = stage.submit(held=True)
    stage.account.fault("no_containers")
    stage.kill_worker()
    return stage.look(run, tells="EssentialContainerExited", patience=UNNOTICED_SECONDS)


def side_car_exit(stage: Stage) -> Seen:
    """A side-car that is not essential ends with 143 in the middle of the run."""
    run = stage.submit(held=True, definition=_with_side_car(stage))
    stage.wait_for_code()
    eventually(lambda: _exit_codes(stage, run).get("side-car") == 143, "the side-car has ended")
    stage.go()
    return stage.look(run)


def late_start(stage: Stage) -> Seen:
    """The task stays in PROVISIONING until after Dagster's start timeout, and then starts."""
    with stage.contender.start_timeout(SHORT_TIMEOUT_SECONDS):
        stage.account.fault("slow_task", seconds=SHORT_TIMEOUT_SECONDS + 5, times=None)
        return stage.look(stage.submit(), tells="(?i)timed out|timeout")


def second_task(stage: Stage) -> Seen:
    """A second task is started for a run that goes on.

    That is what a repeated launch does once ECS has forgotten the token.
    """
    run = stage.submit(held=True)
    stage.wait_for_code()
    second = _repeat_without_token(stage, run)
    # One that gives way ends by itself; the other kind executes the code again.
    within(SECOND_SECONDS, lambda: stage.stack.describe(second)["lastStatus"] == "STOPPED")
    stage.go()
    return stage.look(run)


def two_tasks_at_once(stage: Stage) -> Seen:
    """A second task is started for a run whose first one has not begun, and both begin together."""
    stage.account.fault("slow_task", seconds=4)
    run = stage.submit()
    stage.wait_for_task(run)
    stage.account.fault("slow_task", seconds=3)
    _repeat_without_token(stage, run)
    return stage.look(run)


def _repeat_without_token(stage: Stage, run: DagsterRun) -> str:
    """ARN of the task of the very same RunTask, which ECS takes for another one."""
    request: dict[str, Any] = stage.account.sent("RunTask")[-1]
    again = stage.stack.ecs.run_task(**request | {"clientToken": f"forgotten-{run.run_id[:8]}"})
    return str(again["tasks"][0]["taskArn"])


def _exit_codes(stage: Stage, run: DagsterRun) -> dict[str, int]:
    return {
        container["name"]: container["exitCode"]
        for task in stage.tasks(run)
        for container in task["containers"]
        if "exitCode" in container
    }


def _with_side_car(stage: Stage) -> str:
    """ARN of a task definition with a container beside the run's."""
    definition = stage.stack.ecs.describe_task_definition(
        taskDefinition=stage.stack.isolated_definition
    )["taskDefinition"]
    side_car = {
        "name": "side-car",
        "image": LOCATION,
        "command": ["sh", "-c", "exit 143"],
        "essential": False,
    }
    registered = stage.stack.ecs.register_task_definition(
        # Of the same family: the launcher may run no other one.
        family=definition["family"],
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu=definition["cpu"],
        memory=definition["memory"],
        taskRoleArn=definition["taskRoleArn"],
        executionRoleArn=definition["executionRoleArn"],
        containerDefinitions=[*definition["containerDefinitions"], side_car],
    )
    return str(registered["taskDefinition"]["taskDefinitionArn"])
