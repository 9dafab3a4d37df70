"""What a run has printed can be read in the page after its task is gone."""

from __future__ import annotations

from functools import partial

import pytest

from tests.e2e.dagster_deployment import ON, DagsterDeployment
from tests.e2e.runs import Run
from tests.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.one_storage]

CAPTURED = """
query Captured($runId: ID!) {
  logsForRun(runId: $runId) {
    ... on EventConnection { events { ... on LogsCapturedEvent { fileKey } } }
  }
}"""

STDOUT = "query Stdout($key: [String!]!) { capturedLogs(logKey: $key) { stdout } }"


def stdout(deployment: DagsterDeployment, run: Run) -> str:
    """The standard output of a run's one step, as the page shows it."""
    key = log_key(deployment, run)
    return deployment.page.ask(STDOUT, key=key)["capturedLogs"]["stdout"] or ""


def uploaded(deployment: DagsterDeployment, run: Run) -> bytes:
    """What the deployment's bucket has of a run; the page would show this machine's files, too."""
    s3 = deployment.account.client("s3")
    names = [one["Name"] for one in s3.list_buckets()["Buckets"]]
    [bucket] = [one for one in names if deployment.cluster in one and "logs" in one]
    objects = s3.list_objects_v2(Bucket=bucket).get("Contents", ())
    keys = [one["Key"] for one in objects if run.id in one["Key"]]
    return b"".join(s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys)


METADATA = """
query Metadata($key: [String!]!) { capturedLogsMetadata(logKey: $key) { stdoutDownloadUrl } }
"""


def log_key(deployment: DagsterDeployment, run: Run) -> list[str]:
    """Where the output of a run's one step is."""
    events = deployment.page.ask(CAPTURED, runId=run.id)["logsForRun"]["events"]
    [file] = {event["fileKey"] for event in events if event.get("fileKey")}
    return [run.id, "compute_logs", file]


def has_uploaded(deployment: DagsterDeployment, run: Run) -> bool:
    """Whether the bucket has what the run has printed."""
    return f"probe stdout of run {run.id}".encode() in uploaded(deployment, run)


def test_output_is_uploaded_while_runs_go_on_and_a_canceled_one_leaves_no_task(
    deployment: DagsterDeployment,
) -> None:
    deployment.up(ON)
    isolated, non_isolated = deployment.launch(asked=False), deployment.launch()
    for run in (isolated, non_isolated):
        run.wait_for_place()
        # The page asks whether there is a whole log to download, and there is none.
        asked = {"key": log_key(deployment, run)}
        assert deployment.page.ask(METADATA, **asked)["capturedLogsMetadata"] == {
            "stdoutDownloadUrl": None
        }
    for run in (isolated, non_isolated):
        eventually(partial(has_uploaded, deployment, run), "its output is uploaded")
    assert isolated.task is not None
    isolated.cancel()
    stopped = deployment.wait_for_stopped(isolated.task, 60)
    assert stopped["stopCode"] == "UserInitiated"
    non_isolated.finish()


def test_an_isolated_runs_output_outlives_its_task(deployment: DagsterDeployment) -> None:
    deployment.up(ON)
    run = deployment.launch(asked=False, held=False)
    run.wait_for("SUCCESS")
    assert run.task is not None
    deployment.wait_for_stopped(run.task)

    assert f"probe stdout of run {run.id}" in stdout(deployment, run)
    assert has_uploaded(deployment, run)


def test_a_non_isolated_runs_output_outlives_the_standing_task(
    deployment: DagsterDeployment,
) -> None:
    deployment.up(ON)
    run = deployment.launch(held=False)
    run.wait_for("SUCCESS")
    assert run.task == deployment.standing_task()
    deployment.account.client("ecs").stop_task(cluster=deployment.cluster, task=run.task)
    deployment.wait_for_stopped(run.task, 150)
    eventually(deployment.serves, "the service has another task")

    assert f"probe stdout of run {run.id}" in stdout(deployment, run)
    assert has_uploaded(deployment, run)
