"""Faults of the shared parts: the slot table, and the standing container with the code server.

A launcher that has runs in the standing container meets them with such a run; another one with a
run in a task of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from unittest.mock import patch

import psutil
from dagster import DagsterRun

from run_isolation.dagster.standing.client import ServerSilentError, StandingServer
from tests.faults.contenders import launches_at
from tests.faults.stage import Seen, Stage, within
from tests.runtime.dagster.account import LOCATION, PORT
from tests.runtime.dagster.conftest import serve, wait_until_served
from tests.runtime.dagster.launches import NON_ISOLATED
from tests.waiting import eventually

DOWN_SECONDS: Final = 10
STOPPED_SECONDS: Final = 15
"""When ECS has stopped the old task of a service, if it may."""


def table_down(stage: Stage) -> Seen:
    """DynamoDB answers with errors only, until the run's task has asked it in vain."""
    stage.account.fault(
        "error", service="dynamodb", code="InternalServerError", status=500, times=None
    )
    run = stage.submit(tags=NON_ISOLATED)
    task = stage.wait_for_task(run)
    eventually(lambda: stage.stack.describe(task)["lastStatus"] == "RUNNING", "the task runs")
    before = stage.account.hits()
    within(DOWN_SECONDS, lambda: stage.account.hits() > before)
    stage.account.forget()
    return stage.look(run)


def lost_start_answer(stage: Stage) -> Seen:
    """The server starts the run's process, and its answer is lost."""
    start_run = StandingServer.start_run
    answers: list[Any] = []

    def lose_the_first(self: StandingServer, *args: Any) -> Any:
        answers.append(start_run(self, *args))
        if len(answers) == 1:
            raise ServerSilentError("lost")
        return answers[-1]

    with patch.object(StandingServer, "start_run", lose_the_first):
        return stage.look(stage.submit(tags=NON_ISOLATED))


def code_server_killed(stage: Stage) -> Seen:
    """SIGKILL for the code server in the middle of a run."""
    task = serve(stage.stack)
    run = _submit_held(stage, task)
    stage.wait_for_code()
    servers = _servers(stage.stack.address(task))
    assert servers
    for server in servers:
        server.kill()
    eventually(lambda: stage.stack.describe(task)["lastStatus"] == "STOPPED", "the task stops")
    stage.go()
    return stage.look(run, tells="(?i)task .* stopped|exit code")


def redeployed(stage: Stage) -> Seen:
    """ECS replaces the standing task, as it does for a new release, in the middle of a run."""
    with _service(stage) as (name, task):
        run = _submit_held(stage, task)
        stage.wait_for_code()
        ecs, cluster = stage.stack.ecs, stage.stack.cluster
        ecs.update_service(cluster=cluster, service=name, forceNewDeployment=True)
        eventually(lambda: len(_tasks_of(stage, name) - {task}) == 1, "a new task is started")
        [new] = _tasks_of(stage, name) - {task}
        wait_until_served(stage.stack, new)
        within(STOPPED_SECONDS, lambda: stage.stack.describe(task)["lastStatus"] == "STOPPED")
        stage.go()
        seen = stage.look(run)
        eventually(lambda: _tasks_of(stage, name) == {new}, "the old task is gone")
    return seen


def _submit_held(stage: Stage, task: str) -> DagsterRun:
    """A run of the code location that this standing task serves."""
    with launches_at(stage.contender.instance, stage.stack, task) as launches:
        return launches.submit(stage.create(held=True, launches=launches, tags=NON_ISOLATED))


def _servers(address: str) -> list[psutil.Process]:
    """The processes that have the gRPC port at a task's address."""
    pids = {
        one.pid
        for one in psutil.net_connections("tcp")
        if one.status == psutil.CONN_LISTEN
        and one.laddr
        and (one.laddr.ip.rpartition(":")[2], one.laddr.port) == (address, PORT)
    }
    return [psutil.Process(pid) for pid in pids if pid]


@contextmanager
def _service(stage: Stage) -> Iterator[tuple[str, str]]:
    """An ECS service with one standing task: its name, and the task once it serves."""
    # The code location's own name: its standing tasks may look at no other service.
    stack, name = stage.stack, LOCATION
    stack.ecs.create_service(
        cluster=stack.cluster,
        serviceName=name,
        taskDefinition=stack.standing_definition,
        desiredCount=1,
        launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": {"subnets": [stack.subnet]}},
    )
    try:
        task = eventually(lambda: next(iter(_tasks_of(stage, name)), ""), "a task is started")
        wait_until_served(stack, task)
        yield name, task
    finally:
        stack.ecs.delete_service(cluster=stack.cluster, service=name, force=True)


def _tasks_of(stage: Stage, service: str) -> set[str]:
    stack = stage.stack
    return set(stack.ecs.list_tasks(cluster=stack.cluster, serviceName=service)["taskArns"])
