"""A real standing server in a small container: it outlives a run that takes too much."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from dagster import DagsterRun, DagsterRunStatus

from localaws.ecs.cgroups import limits_or_none
from run_isolation import Acquired, Holder, tag_names
from run_isolation.dagster.standing.client import StandingServer
from run_isolation.server_identity import ServerIdentity
from tests.runtime.dagster.account import CONTROL_PORT, LOCATION, Stack
from tests.runtime.dagster.conftest import wait_until_served
from tests.runtime.dagster.launches import Launches
from tests.waiting import eventually

SMALL_MIB = 600
"""Room for the server and a trivial run."""
TOO_MUCH_MIB = 500


@pytest.fixture(scope="module")
def small_task(session_stack: Stack) -> Iterator[str]:
    said: list[str] = []
    if limits_or_none(said.append) is None:
        pytest.skip(said[0])
    context = json.dumps({"run_isolation": {"task_definition": session_stack.isolated_definition}})
    definition = session_stack.register(
        "small",
        [
            *("run-isolation", "code-server", "--port", "4000"),
            *("--module-name", "probe.definitions", "--location-name", LOCATION),
            *("--container-context", context),
        ],
        memory=SMALL_MIB,
    )
    task = session_stack.run_task(definition)
    wait_until_served(session_stack, task)
    yield task
    session_stack.ecs.stop_task(cluster=session_stack.cluster, task=task)


@pytest.fixture
def server(stack: Stack, small_task: str) -> ServerIdentity:
    return ServerIdentity(small_task, f"{stack.address(small_task)}:{CONTROL_PORT}")


def start(launches: Launches, run: DagsterRun, stack: Stack, server: ServerIdentity) -> str | None:
    """Starts the run; why not, where it is refused."""
    assert run.remote_job_origin is not None
    assert isinstance(stack.slots.acquire(Holder(run.run_id, 1, LOCATION)), Acquired)
    result = StandingServer(server.address).start_run(
        launches.instance, run, run.remote_job_origin, server, attempt=1
    )
    return None if result.success else result.message


def test_a_run_that_takes_too_much_is_ended_and_the_server_stays(
    launches: Launches,
    stack: Stack,
    server: ServerIdentity,
) -> None:
    run = launches.create(config={"take_mib": TOO_MUCH_MIB, "seconds": 60})
    assert start(launches, run, stack, server) is None
    assert launches.ended(run).status is DagsterRunStatus.FAILURE
    failure = launches.failure(run)
    assert "for want of memory" in failure
    assert f"{SMALL_MIB} MiB" in failure
    found = launches.read(run).tags
    assert found[tag_names.OUT_OF_MEMORY] == "true"
    assert found[tag_names.AGAIN] == tag_names.DUE
    assert int(found[tag_names.PEAK_MIB]) > SMALL_MIB // 3
    eventually(lambda: stack.slots.holders() == ())
    # The same server starts the next one.
    assert StandingServer(server.address).identity() == server
    stack.slots.release(run.run_id, 1)
    after = launches.starting(launches.create())
    assert start(launches, after, stack, server) is None
    assert launches.ended(after).status is DagsterRunStatus.SUCCESS
    eventually(lambda: tag_names.PEAK_MIB in launches.read(after).tags)
    taken = launches.read(after).tags
    assert 0 < float(taken[tag_names.CPU_SECONDS]) < 60
    assert float(taken[tag_names.START_LATENCY_SECONDS]) > 0
    assert 10 < int(taken[tag_names.PEAK_MIB]) < SMALL_MIB


def test_a_run_that_needs_more_than_is_free_is_refused_before_it_has_a_process(
    launches: Launches, stack: Stack, server: ServerIdentity
) -> None:
    run = launches.create(tags={tag_names.EXPECTED_MIB: "590"})
    why = start(launches, run, stack, server)
    assert why is not None
    assert why.startswith("Too little memory is free: it needs 590 MiB (by its recent runs)")
    assert f"{SMALL_MIB} MiB" in why
    assert launches.read(run).status is DagsterRunStatus.NOT_STARTED
    assert not StandingServer(server.address).current_runs(server.task_arn)
