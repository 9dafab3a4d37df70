"""New code, and code locations that come and go, with nothing restarted."""

from __future__ import annotations

import pytest

from tests.deployment.conftest import probe
from tests.e2e.dagster_deployment import LOCATIONS, ON, PROBE, STANDING, DagsterDeployment
from tests.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.one_storage]

WORKSPACE = """
{ workspaceOrError { ... on Workspace { locationEntries { name loadStatus } } } }
"""


def shown_version(deployment: DagsterDeployment) -> str | None:
    """The release of the probe's code that the page shows."""
    tags = deployment.page.job_tags("work_job", location=PROBE)
    return None if tags is None else tags.get("probe/code_version")


def shown_locations(deployment: DagsterDeployment) -> set[str]:
    """The code locations that the page shows as loaded."""
    entries = deployment.page.ask(WORKSPACE)["workspaceOrError"]["locationEntries"]
    return {entry["name"] for entry in entries if entry["loadStatus"] == "LOADED"}


def test_the_next_run_executes_the_new_code_and_a_queued_one_the_old(
    deployment: DagsterDeployment,
) -> None:
    deployment.up(ON, LOCATIONS)
    programs = (deployment.webserver.pid, deployment.daemon.pid)
    # Dagster's tag limit keeps the second one in the queue.
    going = deployment.launch("limited_job", asked=False)
    old = going.wait_for_place()
    queued = deployment.launch("limited_job", asked=False)

    deployment.up(locations={**LOCATIONS, PROBE: {**probe("2"), "standing": STANDING}})
    eventually(lambda: shown_version(deployment) == "2", "the page shows the new release", 30)
    after = deployment.launch(asked=False, held=False)
    new = after.wait_for_place()
    assert queued.status == "QUEUED"
    going.finish()
    late = queued.wait_for_place()
    queued.finish()

    assert new["code_version"] == "2"
    assert new["revision"] > old["revision"]
    assert (late["code_version"], late["revision"]) == ("1", old["revision"])
    assert (deployment.webserver.pid, deployment.daemon.pid) == programs
    after.wait_for("SUCCESS")
    deployment.up(locations=LOCATIONS)
    eventually(lambda: shown_version(deployment) == "1", "the page shows the old release", 30)


def test_non_isolated_runs_last_through_a_release_and_the_next_one_executes_the_new_code(
    deployment: DagsterDeployment,
) -> None:
    deployment.up({**ON, "max_concurrent_non_isolated_runs": 3}, LOCATIONS)
    lasting, canceled = deployment.launch(), deployment.launch()
    old = lasting.wait_for_place()
    canceled.wait_for_place()
    assert lasting.task == old["task_arn"]

    # Does not wait for the old container, which stays.
    deployment.up(locations={**LOCATIONS, PROBE: {**probe("2"), "standing": STANDING}})
    eventually(lambda: shown_version(deployment) == "2", "the page shows the new release", 60)
    after = deployment.launch()
    new = after.wait_for_place()

    assert (after.kind, new["code_version"]) == ("non-isolated", "2")
    assert after.task == new["task_arn"] != old["task_arn"]
    assert {holder.run_id for holder in deployment.holders} == {lasting.id, canceled.id, after.id}
    canceled.cancel()
    assert canceled.status == "CANCELED"
    # Dagster's monitoring has asked about it every 2 seconds.
    assert lasting.status == "STARTED"
    assert deployment.task(old["task_arn"])["lastStatus"] == "RUNNING"

    lasting.finish()
    stopped = deployment.wait_for_stopped(old["task_arn"])
    assert stopped["stopCode"] == "ServiceSchedulerInitiated"
    assert deployment.standing_task() == new["task_arn"]
    after.finish()
    deployment.wait_for_free_slots()
    deployment.up(ON, LOCATIONS)
    eventually(lambda: shown_version(deployment) == "1", "the page shows the old release", 60)


def test_a_code_location_comes_and_goes_without_a_restart(deployment: DagsterDeployment) -> None:
    deployment.up(ON, LOCATIONS)
    programs = (deployment.webserver.pid, deployment.daemon.pid)
    third = {**probe("2"), "standing": STANDING, "module": "probe.jobs"}

    deployment.up(locations={**LOCATIONS, "third": third})
    eventually(lambda: "third" in shown_locations(deployment), "the page shows it", 60)
    run = deployment.launch(location="third", asked=False, held=False)
    run.wait_for("SUCCESS", seconds=120)
    assert run.task in deployment.isolated_tasks("third")

    deployment.up(locations=LOCATIONS)
    eventually(lambda: "third" not in shown_locations(deployment), "the page forgets it", 60)
    assert (deployment.webserver.pid, deployment.daemon.pid) == programs
