"""Every row of the decision table, each run launched the real way: the outcome and its reason."""

from __future__ import annotations

import json
from collections.abc import Iterator
from uuid import uuid4

import pytest

from run_isolation import tag_names
from tests.e2e.dagster_deployment import ON, PROBE, DagsterDeployment
from tests.e2e.runs import NON_ISOLATED, Run
from tests.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.one_storage]

FREE = "Asked for by tag dagster/isolation=disabled, and a slot was free."


def automated(who: str) -> str:
    """The reason of a run that nobody launched by hand."""
    return (
        f"Launched by: {who}. Only runs launched by hand may go without their own task, unless the "
        "deployment's settings say allow_automated."
    )


def the_run(deployment: DagsterDeployment, seconds: float = 60, **by_tags: str) -> Run:
    """The run with these tags, once there is one and it is decided."""
    named = {key.replace("__", "/"): value for key, value in by_tags.items()}

    def look() -> Run | None:
        found = [Run(run_id, deployment.page) for run_id in deployment.page.run_ids(**named)]
        return next((run for run in found if run.kind), None)

    return deployment.run(
        eventually(look, f"a run with {named}\n{deployment.daemon.said()}", seconds).id
    )


RETRIES_FROM_HERE = """
from dagster import DagsterInstance
key = "EVENT_LOG_CONSUMER_CURSOR-PIPELINE_FAILURE"
with DagsterInstance.get() as instance:
    print(instance.daemon_cursor_storage.get_cursor_values({key}).get(key, ""))
"""
"""Prints after which event Dagster's daemon looks for runs to retry; nothing before its first look,
which passes over all failures until then (dagster/_daemon/auto_run_reexecution)."""


def test_allow_automated(deployment: DagsterDeployment) -> None:
    """First, while neither schedule nor sensors are on: their runs would take the slot."""
    deployment.up({**ON, "allow_automated": True})
    eventually(
        lambda: deployment.command("python", "-c", RETRIES_FROM_HERE).strip(),
        "the daemon's first look for runs to retry",
    )
    run = deployment.launch(held=False, fail=True, tags={"dagster/max_retries": "1"})
    assert (run.kind, run.reason) == ("non-isolated", FREE)
    retry = the_run(deployment, dagster__parent_run_id=run.id)
    assert (retry.kind, retry.reason) == ("non-isolated", FREE)
    retry.wait_for("FAILURE")
    assert retry.task == deployment.standing_task()


@pytest.fixture(scope="module")
def backfill(shared_deployment: DagsterDeployment) -> Iterator[str]:
    """The id of a backfill; schedule and sensors are on, too.

    They launch when they like, the schedule after up to a minute: first started, last looked at.
    """
    shared_deployment.up(ON)
    page = shared_deployment.page
    on = [("schedule", "every_minute"), ("sensor", "requests_a_run"), ("sensor", "automation")]
    for kind, name in on:
        page.switch(kind, name, location=PROBE, on=True)
    yield page.backfill("partitioned_job", "a", location=PROBE)
    for kind, name in on:
        page.switch(kind, name, location=PROBE, on=False)


@pytest.mark.usefixtures("backfill")
def test_an_unknown_value_of_the_tag(deployment: DagsterDeployment) -> None:
    run = deployment.launch(tags={tag_names.ISOLATION: "Disabled"})
    assert run.kind == "isolated"
    assert run.reason == (
        "Tag dagster/isolation is 'Disabled'; only 'disabled' asks for a run without its own task."
    )


@pytest.mark.usefixtures("backfill")
def test_more_than_the_standing_container_has(deployment: DagsterDeployment) -> None:
    run = deployment.launch(tags={tag_names.ECS_CPU: "2048"}, held=False)
    assert run.kind == "isolated"
    assert run.reason == "Tag ecs/cpu asks for 2048; the standing container has 1024."
    task = eventually(lambda: run.task, "the run has a task")
    assert deployment.task(task)["cpu"] == "2048"


@pytest.mark.usefixtures("backfill")
def test_a_failed_run_is_executed_again(deployment: DagsterDeployment) -> None:
    """Once by Dagster itself, which is automated, and once by the page, which is by hand."""
    run = deployment.launch(held=False, fail=True, tags={"dagster/max_retries": "1"})
    assert (run.kind, run.reason) == ("non-isolated", FREE)
    run.wait_for("FAILURE")
    retry = the_run(deployment, dagster__parent_run_id=run.id)
    # It inherits its parent's tags, until it is decided for itself.
    eventually(lambda: retry.kind == "isolated", "it is decided")
    assert (retry.kind, retry.reason) == ("isolated", automated("retry"))
    assert retry.tags[tag_names.TASK_ARN] != run.task
    # It fails, too, in a task that does not know how often it may be retried: the daemon does.
    retry.wait_for("FAILURE")
    decided = eventually(lambda: retry.tags.get("dagster/will_retry"), "the daemon has decided")
    assert (run.tags["dagster/will_retry"], decided) == ("true", "false")
    assert deployment.page.run_ids(**{"dagster/root_run_id": run.id}) == [retry.id]

    deployment.wait_for_free_slots()
    again = deployment.run(deployment.page.reexecute(run.id))
    assert (again.kind, again.reason) == ("non-isolated", FREE)
    again.wait_for("FAILURE")


def launch_by(deployment: DagsterDeployment, *command: str) -> Run:
    """The run that a command launches in the location `probe`."""
    run_id, work = str(uuid4()), deployment.work(held=False)
    options = {
        "--location": PROBE,
        "--job": "work_job",
        "--tags": json.dumps(NON_ISOLATED),
        "--config-json": json.dumps(work.config()),
        "--run-id": run_id,
    }
    deployment.command(*command, *(word for option in options.items() for word in option))
    return deployment.run(run_id, work)


@pytest.mark.usefixtures("backfill")
def test_run_isolation_launch_is_by_hand(deployment: DagsterDeployment) -> None:
    run = launch_by(deployment, "run-isolation", "launch")
    assert (run.kind, run.reason) == ("non-isolated", FREE)
    assert run.wait_for_place()["task_arn"] == deployment.standing_task()
    run.wait_for("SUCCESS")


@pytest.mark.usefixtures("backfill")
def test_dagster_job_launch_is_nobody_known(deployment: DagsterDeployment) -> None:
    run = launch_by(deployment, "dagster", "job", "launch")
    assert (run.kind, run.reason) == ("isolated", automated("unknown"))


@pytest.mark.usefixtures("backfill")
def test_an_automation_condition(deployment: DagsterDeployment) -> None:
    upstream = deployment.page.launch(
        "__ASSET_JOB", assets=["upstream"], location=PROBE, tags=NON_ISOLATED
    )
    run = the_run(deployment, dagster__sensor_name="automation")
    assert (run.kind, run.reason) == ("isolated", automated("automation condition"))
    assert deployment.run(upstream).kind == "non-isolated"


@pytest.mark.usefixtures("backfill")
def test_a_sensor(deployment: DagsterDeployment) -> None:
    run = the_run(deployment, dagster__sensor_name="requests_a_run")
    assert (run.kind, run.reason) == ("isolated", automated("sensor"))


def test_a_backfill(deployment: DagsterDeployment, backfill: str) -> None:
    run = the_run(deployment, dagster__backfill=backfill)
    assert (run.kind, run.reason) == ("isolated", automated("backfill"))


@pytest.mark.usefixtures("backfill")
def test_a_schedule(deployment: DagsterDeployment) -> None:
    run = the_run(deployment, seconds=70, dagster__schedule_name="every_minute")
    deployment.page.switch("schedule", "every_minute", location=PROBE, on=False)
    assert (run.kind, run.reason) == ("isolated", automated("schedule"))

    # A person who executes it again is a person.
    run.wait_for("SUCCESS")
    assert run.task in deployment.isolated_tasks()
    again = deployment.run(deployment.page.reexecute(run.id))
    assert (again.kind, again.reason) == ("non-isolated", FREE)
    again.wait_for("SUCCESS")
