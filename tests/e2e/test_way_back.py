"""`RUN_ISOLATION_DISABLED=1`: the way back when anything of ours breaks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from localaws.calls import Call
from run_isolation.dagster.deployment import SWITCH
from run_isolation.table import instance_key
from tests.e2e.dagster_deployment import ON, DagsterDeployment

pytestmark = [pytest.mark.e2e, pytest.mark.one_storage]


@pytest.fixture
def switched_off(deployment: DagsterDeployment) -> Iterator[DagsterDeployment]:
    deployment.up(ON)
    programs = (deployment.webserver, deployment.daemon)
    before = [program.environment for program in programs]

    def restart() -> None:
        for program in programs:
            program.stop()
        deployment.start_webserver()
        deployment.daemon.start()

    for program in programs:
        program.environment = {**program.environment, SWITCH: "1"}
    restart()
    yield deployment
    for program, environment in zip(programs, before, strict=True):
        program.environment = environment
    restart()


def test_every_run_is_isolated_by_dagsters_own_coordinator(switched_off: DagsterDeployment) -> None:
    deployment = switched_off
    deployment.account.calls.clear()

    run = deployment.launch(asked=True)
    place = run.wait_for_place()
    run.finish()

    [arn] = deployment.tasks_of(run)
    assert place["task_arn"] == run.task == arn
    assert run.queued
    # Nobody decided, nobody looked at the settings, nobody took a slot.
    assert run.reason == ""
    for caller in ("webserver", "daemon"):
        calls = deployment.account.calls.all("dynamodb", caller)
        # Another deployment's processes may be in the same account.
        ours = [call for call in calls if call.params["TableName"] == deployment.table]
        # Each reads the deployment's instance as it starts, which the daemon may do just now.
        assert [call for call in ours if not _reads_instance(call)] == []


def _reads_instance(call: Call) -> bool:
    return str(call.params["Key"]["pk"]["S"]).startswith(instance_key(""))
