"""Dagster's own limits: a run that they name goes through Dagster's queue, isolated."""

from __future__ import annotations

import pytest

from tests.e2e.dagster_deployment import OTHER, PROBE, DagsterDeployment
from tests.e2e.kinds import Pooled
from tests.e2e.runs import Run
from tests.waiting import eventually

pytestmark = pytest.mark.e2e

MANY = {"enabled": True, "max_concurrent_non_isolated_runs": 10}
"""More slots than max_concurrent_runs in the deployment's dagster.yaml."""
POOLED = 3
"""Each has a task of its own, and waits for the one before to end: seconds each."""


def assert_queued(run: Run, limit: str) -> None:
    """It is isolated and in the queue, and says which limit is to blame."""
    assert run.kind == "isolated"
    assert run.reason == f"Dagster's queue limits this run ({limit}), so it goes through it."
    assert run.queued


def assert_passed_over(deployment: DagsterDeployment, waiting: Run) -> None:
    """The daemon dequeues a run that came later, and leaves `waiting` in the queue."""
    later = deployment.launch(asked=False)
    eventually(lambda: later.status != "QUEUED", "a later run leaves the queue")
    assert waiting.status == "QUEUED"
    later.cancel(force=True)


def test_a_tag_limit_is_respected(deployment: DagsterDeployment) -> None:
    deployment.up(MANY)
    first = deployment.launch("limited_job")
    assert_queued(first, "tag limit probe/group=limited")
    first.wait_for("STARTING", "STARTED")
    second = deployment.launch("limited_job")
    assert_queued(second, "tag limit probe/group=limited")
    assert_passed_over(deployment, second)

    first.finish()
    second.wait_for("STARTED")
    assert deployment.holders == ()


def test_a_pool_that_is_limited_by_run_is_respected(deployment: DagsterDeployment) -> None:
    deployment.up(MANY)
    deployment.command("dagster", "instance", "concurrency", "set", "probe", "1")
    first = deployment.launch("pooled_job", op="pooled")
    assert_queued(first, "pool probe, limited by run")
    first.wait_for("STARTING", "STARTED")
    second = deployment.launch("pooled_job", op="pooled")
    assert_queued(second, "pool probe, limited by run")
    assert_passed_over(deployment, second)

    first.finish()
    second.wait_for("STARTED")
    assert deployment.holders == ()


@pytest.mark.one_storage
def test_a_pool_of_one_that_is_limited_by_run_under_many_runs(
    deployment: DagsterDeployment,
) -> None:
    """At most one at once, whatever they ask for, and the limit is the same meanwhile and after."""
    deployment.up(MANY)
    limits = deployment.page.pool_limits()
    assert limits == {"probe": (1, False)}, "as the test before has left it"
    pooled = Pooled.launch(deployment, POOLED)
    for run, _ in pooled.runs:
        run.wait_for("SUCCESS", seconds=10 * POOLED)
        assert run.kind == "isolated"
        assert deployment.page.pool_limits() == limits
    pooled.check_one_at_once()


def test_max_concurrent_runs_is_respected(deployment: DagsterDeployment) -> None:
    deployment.up(MANY)
    going = [deployment.launch(location=location) for location in (PROBE, OTHER) * 3]
    assert {run.kind for run in going} == {"non-isolated"}

    one_more = deployment.launch()
    assert_queued(one_more, "max_concurrent_runs=6, which is reached")
    for run in going:
        run.wait_for_place()
    assert one_more.status == "QUEUED"

    going[0].finish()
    one_more.wait_for("STARTED")
    assert one_more.task in deployment.isolated_tasks()
