"""A location's `workingDirectory` is where all of its code runs: ticks, runs and their steps."""

from __future__ import annotations

import pytest

from tests.e2e.dagster_deployment import ON, OTHER, DagsterDeployment
from tests.e2e.kinds import KINDS

pytestmark = [pytest.mark.e2e, pytest.mark.one_storage]

TICKS = """
mutation Ticks($sensor: SensorSelector!, $schedule: ScheduleSelector!) {
  sensor: sensorDryRun(selectorData: $sensor, cursor: "") {
    ... on DryRunInstigationTick { evaluationResult { ...Result } }
    ... on PythonError { message }
  }
  schedule: scheduleDryRun(selectorData: $schedule, timestamp: 1700000000) {
    ... on DryRunInstigationTick { evaluationResult { ...Result } }
    ... on PythonError { message }
  }
}
fragment Result on TickEvaluation { error { message } runRequests { runKey } }"""


def test_ticks_open_files_of_the_working_directory(deployment: DagsterDeployment) -> None:
    deployment.up(ON)
    repository = {"repositoryLocationName": OTHER, "repositoryName": "__repository__"}
    answer = deployment.page.ask(
        TICKS,
        sensor={**repository, "sensorName": "reads_a_file"},
        schedule={**repository, "scheduleName": "reads_a_file_yearly"},
    )
    for kind in ("sensor", "schedule"):
        result = answer[kind]["evaluationResult"]
        assert result["error"] is None, result["error"]
        assert result["runRequests"] == [{"runKey": "3"}]


@pytest.mark.parametrize(
    ("job", "name"),
    [("work_job", "warm"), *(("steps_job", name) for name in KINDS)],
    ids=["warm", *(f"{name}, its steps" for name in KINDS)],
)
def test_runs_open_files_of_the_working_directory(
    deployment: DagsterDeployment, job: str, name: str
) -> None:
    deployment.up(ON)
    kind = KINDS[name]
    run = deployment.launch(
        job, location=kind.location, asked=kind.asked, held=False, read_file="rows.txt"
    )
    run.wait_for("SUCCESS")
    kind.check(run)
