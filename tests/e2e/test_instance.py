"""One Dagster instance, whichever way a run is executed, also while `pulumi up` changes it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from run_isolation import tag_names
from tests.e2e.dagster_deployment import INSTANCE, LOCATIONS, OTHER, PROBE, DagsterDeployment
from tests.e2e.runs import Run
from tests.e2e.storage import LOGS as LOGS_BUCKET
from tests.e2e.test_compute_logs import stdout
from tests.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.one_storage]

MANY = {"enabled": True, "max_concurrent_non_isolated_runs": 10}
LOGGER = "some.library"
PREFIX = "of/the/team"
LOGS = {
    "module": "dagster_aws.s3.compute_log_manager",
    "class": "S3ComputeLogManager",
    "config": {
        "bucket": LOGS_BUCKET,
        "prefix": {"env": "LOGS_PREFIX"},
        "region": {"env": "AWS_REGION"},
    },
}
DAGSTER_YAML = {
    **INSTANCE,
    "run_queue": {
        "max_concurrent_runs": {"env": "MOST_RUNS"},
        "dequeue_num_workers": {"env": "DEQUEUE_WORKERS"},
        "dequeue_use_threads": True,
    },
    "auto_materialize": {"minimum_interval_seconds": {"env": "AUTOMATION_SECONDS"}},
    # All runs are launched at once, whether their pool has room or not.
    "concurrency": {
        "pools": {"default_limit": 1, "granularity": "op", "op_granularity_run_buffer": 30}
    },
    "python_logs": {"managed_python_loggers": [LOGGER]},
    "compute_logs": LOGS,
}
ENV = {
    "LOGS_PREFIX": PREFIX,
    "MOST_RUNS": "40",
    "DEQUEUE_WORKERS": "4",
    "AUTOMATION_SECONDS": "30",
}
KINDS: Mapping[str, Mapping[str, Any]] = {
    "warm": {"asked": True, "location": PROBE},
    "spawned": {"asked": True, "location": OTHER},
    "isolated": {"asked": False, "location": PROBE},
}
POOLED = 20


@dataclass(frozen=True)
class Changed:
    """The deployment after a change of its instance.

    Attributes:
        deployment: With spawned runs in the location OTHER.
        before: Version of the instance of before.
        going: Runs of both kinds that have begun with it, and go on.
    """

    deployment: DagsterDeployment
    before: str
    going: list[Run]

    @property
    def version(self) -> str:
        """The newest version of the instance."""
        return version(self.deployment)


def version(deployment: DagsterDeployment) -> str:
    ssm = deployment.account.client("ssm")
    name = f"/run-isolation/{deployment.stack.name}/manifest"
    manifest: Mapping[str, Any] = json.loads(ssm.get_parameter(Name=name)["Parameter"]["Value"])
    return str(manifest["instance_version"])


@pytest.fixture(scope="module")
def changed(shared_deployment: DagsterDeployment) -> Iterator[Changed]:
    deployment = shared_deployment
    deployment.up(MANY)
    before = version(deployment)
    going = [deployment.launch(), deployment.launch(asked=False)]
    for run in going:
        run.wait_for_place()
    spawning = {**LOCATIONS, OTHER: {**LOCATIONS[OTHER], "warmStart": False}}
    own = {"dagsterYaml": DAGSTER_YAML, "env": ENV}
    deployment.up(MANY, spawning, {**deployment.storage.database, "io": "create", **own})
    deployment.take_on_instance()
    for location in (PROBE, OTHER):
        eventually(partial(deployment.shows, location), f"{location} is shown")
    yield Changed(deployment, before, going)
    for run in going:
        if run.status not in ("SUCCESS", "FAILURE", "CANCELED"):
            run.cancel(force=True)
    deployment.up(MANY, LOCATIONS, {**deployment.storage.instance, "dagsterYaml": dict(INSTANCE)})
    deployment.take_on_instance()
    eventually(deployment.shows, "the page has loaded the location")


def test_runs_of_before_go_on_with_theirs(changed: Changed) -> None:
    assert changed.version != changed.before
    for run in changed.going:
        assert run.status == "STARTED"
        run.finish()
        assert run.tags[tag_names.INSTANCE] == changed.before


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_run_has_all_of_it(changed: Changed, kind: str) -> None:
    """A managed logger's records; output under a prefix that a variable says; the version."""
    deployment = changed.deployment
    run = deployment.launch(**KINDS[kind], held=False, log_as=LOGGER)
    run.wait_for("SUCCESS")
    assert run.kind == ("isolated" if kind == "isolated" else "non-isolated"), run.reason
    assert run.tags[tag_names.INSTANCE] == changed.version
    assert any(f"probe logs in run {run.id}" in message for message in run.messages)
    s3 = deployment.account.client("s3")
    eventually(lambda: stdout(deployment, run), "its output is in the bucket")
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket=LOGS_BUCKET).get("Contents", ())]
    mine = [key for key in keys if run.id in key]
    assert mine
    assert {key.startswith(f"{PREFIX}/") for key in mine} == {True}


def test_a_tick_has_it_too(changed: Changed) -> None:
    result = changed.deployment.page.tick("tells_its_instance", location=PROBE)
    assert result["error"] is None
    told = json.loads(result["skipReason"])
    assert told["loggers"] == [LOGGER]
    assert told["runs"] > 0


def test_sensors_and_a_schedule_find_what_is_in_it(changed: Changed) -> None:
    deployment = changed.deployment
    page = deployment.page
    launched = page.launch("__ASSET_JOB", location=PROBE, assets=["upstream"])
    deployment.run(launched).wait_for("SUCCESS")
    asked = page.tick("after_upstream", location=PROBE)
    assert (asked["error"], [one["runKey"] for one in asked["runRequests"]]) == (None, [launched])
    assert page.tick("after_success", location=PROBE)["error"] is None
    found = page.scheduled("yearly", location=PROBE)
    assert (found["error"], int(found["skipReason"]) > 0) == (None, True)


def test_a_pool_of_one_under_runs_of_both_kinds(changed: Changed) -> None:
    """At most one at once, and the limit is the same before, meanwhile and after."""
    deployment = changed.deployment
    ledger = deployment.work_directory / "pool.ledger"
    ledger.touch(0o666)
    ledger.chmod(0o666)
    runs = [
        deployment.launch("pooled_job", op="pooled", asked=asked, held=False, append_to=str(ledger))
        for asked in (True, False) * (POOLED // 2)
    ]
    for run in runs:
        run.wait_for("SUCCESS", seconds=180)
    assert {run.kind for run in runs} == {"isolated", "non-isolated"}
    lines = [line.split() for line in ledger.read_text().splitlines()]
    assert [what for what, _, _ in lines] == ["began", "ended"] * POOLED
    assert [run for _, run, _ in lines[::2]] == [run for _, run, _ in lines[1::2]]
    assert deployment.page.pool_limits() == {"probe": (1, True)}


def test_a_rotation_in_the_middle_of_ten_runs(changed: Changed) -> None:
    """They go on, others start, and nothing is restarted."""
    deployment = changed.deployment
    rotate = deployment.storage.rotate
    assert rotate is not None
    for run in changed.going:
        run.go()
    eventually(deployment.serves, "the standing task of before has gone with its run")

    def processes() -> tuple[object, ...]:
        standing = [deployment.standing_task(location) for location in (PROBE, OTHER)]
        return deployment.webserver.pid, deployment.daemon.pid, *standing

    before = processes()
    kinds = ["isolated"] * 4 + ["spawned"] * 2 + ["warm"] * 4
    runs = [deployment.launch(**KINDS[kind]) for kind in kinds]
    for run in runs:
        run.wait_for_place()

    rotate()
    for run in runs:
        run.go()
    later = [deployment.launch(**KINDS[kind], held=False) for kind in KINDS]
    for run in (*runs, *later):
        run.wait_for("SUCCESS")
    assert [run.kind == "isolated" for run in later] == [kind == "isolated" for kind in KINDS]
    assert deployment.page.tick("tells_its_instance", location=PROBE)["error"] is None
    assert processes() == before
