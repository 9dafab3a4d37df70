"""Outputs of real runs on S3, of forked and of spawned ones, over TLS as on AWS."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterRunStatus

from localaws.account import LocalAccount
from run_isolation import outputs
from tests.code_server.runs import new_home, runs_of
from tests.code_server.servers import SPAWNING, WARM, Kind, serving
from tests.runtime.dagster.tls import tls_in_front_of

PROBE = Path(__file__).parents[2] / "locations" / "probe"
BUCKET = "outputs-of-runs"


@pytest.fixture
def environment_of_task(local_account: LocalAccount, tmp_path: Path) -> Iterator[dict[str, str]]:
    client: Any = local_account.client("s3")
    client.create_bucket(Bucket=BUCKET)
    with tls_in_front_of(local_account.endpoint_url, tmp_path) as tls:
        yield {
            **local_account.environment(),
            **tls,
            **outputs.environment(outputs.Place(BUCKET, "prod")),
        }
    for one in client.list_objects_v2(Bucket=BUCKET).get("Contents", ()):
        client.delete_object(Bucket=BUCKET, Key=one["Key"])


@pytest.mark.parametrize("kind", [WARM, SPAWNING], ids=["forked", "spawned"])
def test_steps_and_runs_hand_over(
    kind: Kind, local_account: LocalAccount, environment_of_task: dict[str, str], tmp_path: Path
) -> None:
    target, home = ["--module-name", "probe.definitions"], new_home(tmp_path / "home")
    environment, log = environment_of_task, tmp_path / "log"
    with (
        serving(kind, PROBE, target, log, environment=environment) as server,
        runs_of(server, home) as runs,
    ):
        between_steps = runs.execute("hand_over_job")
        assert between_steps.status is DagsterRunStatus.SUCCESS, runs.told(between_steps)
        made = ["storage", between_steps.run_id, "give", "result"]
        expected = {"prod/" + "/".join(made)}
        if kind is WARM:  # each run takes seconds elsewhere
            for asset in ("numbers", "doubled"):
                config = {"ops": {asset: {"config": {"number": 7}}}}
                run = runs.execute(f"{asset}_job", config)
                assert run.status is DagsterRunStatus.SUCCESS, runs.told(run)
                expected.add(f"prod/{asset}")
    asked = Counter(call.operation.split()[0] for call in local_account.calls.all("s3"))
    found = local_account.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]
    assert expected == {one["Key"] for one in found}
    # Each output is one call to keep it and one to read it. The bucket is ours; the last asset is
    # read by nobody.
    assert asked == {"PUT": 1 + len(expected), "GET": len(expected) - (kind is WARM)}
