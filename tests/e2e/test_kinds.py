"""Isolated is the default: where runs of each kind execute, as AWS sees it."""

from __future__ import annotations

import json

import pytest

from tests.e2e.dagster_deployment import ON, OTHER, PROBE, DagsterDeployment
from tests.e2e.runs import process_of

pytestmark = pytest.mark.e2e


def test_isolated_is_the_default_and_gets_a_task_of_its_own(deployment: DagsterDeployment) -> None:
    deployment.up(ON)

    run = deployment.launch(asked=False)
    place = run.wait_for_place()
    run.finish()

    assert (run.kind, run.reason) == ("isolated", "Isolated is the default.")
    [arn] = deployment.tasks_of(run)
    assert place["task_arn"] == run.task == arn
    task = deployment.wait_for_stopped(arn)
    assert (task["cpu"], task["memory"]) == ("4096", "16384")
    assert [container["exitCode"] for container in task["containers"]] == [0]
    assert run.queued
    # The very code that the page showed: the revision that the code server advertises.
    assert task["taskDefinitionArn"] == advertised(deployment)
    assert task["taskDefinitionArn"].endswith(f"{place['family']}:{place['revision']}")


@pytest.mark.parametrize("location", [PROBE, OTHER])
def test_a_non_isolated_run_executes_in_the_standing_task_of_its_own_code_location(
    deployment: DagsterDeployment, location: str
) -> None:
    deployment.up(ON)
    run = deployment.launch(location=location)
    place = run.wait_for_place()
    assert run.kind == "non-isolated"
    assert "slot was free" in run.reason
    spawned = "--multiprocessing-fork" in process_of(place).cmdline()
    assert spawned == (location == OTHER)
    assert place["task_arn"] == run.task == deployment.standing_task(location)
    assert place["isolated_attempt"] is None
    # It starts at once: the daemon, which looks into the queue now and then, has no part in it.
    assert not run.queued
    assert [holder.run_id for holder in deployment.holders] == [run.id]
    run.finish()
    deployment.wait_for_free_slots()
    # No task was started for it, in any location.
    assert not [call for call in deployment.run_task_calls() if run.id in str(call.params)]


def advertised(deployment: DagsterDeployment) -> str:
    """The isolated revision that the standing task's command gives to Dagster."""
    ecs = deployment.account.client("ecs")
    standing = deployment.task(deployment.standing_task())["taskDefinitionArn"]
    definition = ecs.describe_task_definition(taskDefinition=standing)["taskDefinition"]
    command = definition["containerDefinitions"][0]["command"]
    context = json.loads(command[command.index("--container-context") + 1])
    return str(context["run_isolation"]["task_definition"])
