"""One Dagster instance, whichever way a run is executed, also while `pulumi up` changes it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest

from run_isolation import tag_names
from tests.e2e.dagster_deployment import INSTANCE, OTHER, PROBE, DagsterDeployment
from tests.e2e.kinds import KINDS, Pooled
from tests.e2e.page import REPOSITORY
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
        "user_code_failure_retry_delay": {"env": "RETRY_SECONDS"},
    },
    # All runs are launched at once, whether their pool has room or not.
    "concurrency": {
        "pools": {"default_limit": 1, "granularity": "op", "op_granularity_run_buffer": 30}
    },
    "python_logs": {"managed_python_loggers": [LOGGER]},
    "compute_logs": LOGS,
}
ENV = {"MOST_RUNS": "40", "DEQUEUE_WORKERS": "4", "RETRY_SECONDS": "30"}
"""`instance.env`; `LOGS_PREFIX` is one of `instance.secrets`."""
SETTINGS = {
    "loggers": [LOGGER],
    "max_concurrent_runs": 40,
    "dequeue_workers": 4,
    "retry_seconds": 30,
    "logs_prefix": PREFIX,
    "logs_region": "us-east-1",
    "pool_limit": 1,
}
"""What code finds in its instance: five of these are variables in DAGSTER_YAML."""
UPSTREAM = {PROBE: "upstream", OTHER: "other_upstream"}
"""By code location: the asset that its sensor waits for."""
LONG_SECONDS = 100
"""Of a large tick, as in the probe."""
LONG_TICKS = """
query LongTicks($selector: SensorSelector!) {
  sensorOrError(sensorSelector: $selector) {
    ... on Sensor {
      sensorState { ticks(limit: 1) { status skipReason timestamp endTimestamp error { message } } }
    }
  }
}"""
POOLED = 20


@dataclass(frozen=True)
class Changed:
    """The deployment after a change of its instance.

    Attributes:
        deployment: Its database has another form of secret, too, than before.
        before: Version of the instance of before.
        going: By kind: a run that has begun with it, and goes on.
        instance: What the stack's config says, but for the database.
    """

    deployment: DagsterDeployment
    before: str
    going: Mapping[str, Run]
    instance: Mapping[str, Any]

    @property
    def version(self) -> str:
        """The newest version of the instance."""
        return version(self.deployment)


def version(deployment: DagsterDeployment) -> str:
    ssm = deployment.account.client("ssm")
    name = f"/run-isolation/{deployment.stack.name}/manifest"
    manifest: Mapping[str, Any] = json.loads(ssm.get_parameter(Name=name)["Parameter"]["Value"])
    return str(manifest["instance_version"])


def told(deployment: DagsterDeployment, location: str) -> Mapping[str, Any]:
    """What a tick says about its instance."""
    result = deployment.page.tick("tells_its_instance", location=location)
    assert result["error"] is None, result
    found: Mapping[str, Any] = json.loads(result["skipReason"])
    return found


@pytest.fixture(scope="module")
def changed(shared_deployment: DagsterDeployment) -> Iterator[Changed]:
    deployment = shared_deployment
    postgres = deployment.storage.postgres
    assert postgres is not None
    deployment.up(MANY)
    before = version(deployment)
    going = {
        name: deployment.launch(location=kind.location, asked=kind.asked)
        for name, kind in KINDS.items()
    }
    for run in going.values():
        run.wait_for_place()
    manager = deployment.account.client("secretsmanager")
    prefix = manager.create_secret(Name="logs-prefix", SecretString=PREFIX)["ARN"]
    own = {"dagsterYaml": DAGSTER_YAML, "env": ENV, "secrets": {"LOGS_PREFIX": prefix}}
    instance = {"io": "create", **own}
    deployment.up(instance={**postgres.forms["RDS's own"], **instance})
    deployment.take_on_instance()
    for location in (PROBE, OTHER):
        eventually(partial(deployment.shows, location), f"{location} is shown")
    yield Changed(deployment, before, going, instance)
    for run in going.values():
        if run.status not in ("SUCCESS", "FAILURE", "CANCELED"):
            run.cancel(force=True)
    deployment.up(instance={**deployment.storage.instance, "dagsterYaml": dict(INSTANCE)})
    deployment.take_on_instance()
    eventually(deployment.shows, "the page has loaded the location")


@dataclass(frozen=True)
class Settled(Changed):
    """The same, once the containers of before have gone with their runs.

    Attributes:
        long: By code location: the test of a schedule that takes long.
    """

    long: Mapping[str, Future[Mapping[str, Any]]]


def wait_for_service(deployment: DagsterDeployment) -> None:
    """Wait until each code location has one container, and the page is of that one.

    As long as there is another one, the page may show what that one serves.
    """
    for location in (PROBE, OTHER):
        eventually(partial(deployment.serves, location), f"{location} has one container")
    deployment.page.ask("mutation Reload { reloadWorkspace { __typename } }")


@pytest.fixture(scope="module")
def settled(changed: Changed) -> Iterator[Settled]:
    for run in changed.going.values():
        run.go()
    deployment = changed.deployment
    wait_for_service(deployment)
    for location in (PROBE, OTHER):
        deployment.page.switch("sensor", "takes_long", location=location, on=True)
    # They take no CPU, and about as long as the tests of this module.
    page = replace(deployment.page, deadline_seconds=2 * LONG_SECONDS)
    with ThreadPoolExecutor() as threads:
        long = {
            location: threads.submit(page.scheduled, "takes_long_too", location=location)
            for location in (PROBE, OTHER)
        }
        yield Settled(**vars(changed), long=long)


def test_runs_of_before_go_on_with_theirs(changed: Changed) -> None:
    assert changed.version != changed.before
    for name, run in changed.going.items():
        assert run.status == "STARTED"
        run.finish()
        KINDS[name].check(run)
        assert run.tags[tag_names.INSTANCE] == changed.before


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_of_run_has_all_of_it(settled: Settled, name: str) -> None:
    """Values of variables, a managed logger's records, output with its prefix; ticks, too."""
    deployment, kind = settled.deployment, KINDS[name]
    page, location, asset = deployment.page, kind.location, UPSTREAM[kind.location]
    since = page.tick("after_success", location=location)["cursor"]
    work = deployment.work(op=asset, held=False, log_as=LOGGER)
    run = deployment.run(
        page.launch(
            "__ASSET_JOB", location=location, assets=[asset], tags=kind.tags, config=work.config()
        )
    )
    run.wait_for("SUCCESS")
    kind.check(run)
    assert run.tags[tag_names.INSTANCE] == settled.version
    assert f"probe has {json.dumps(SETTINGS)}" in "\n".join(run.messages)
    assert any(f"probe logs in run {run.id}" in message for message in run.messages)
    s3 = deployment.account.client("s3")
    assert eventually(lambda: stdout(deployment, run), "its output is in the bucket")
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket=LOGS_BUCKET).get("Contents", ())]
    mine = [key for key in keys if run.id in key]
    assert mine
    assert {key.startswith(f"{PREFIX}/") for key in mine} == {True}

    for sensor, cursor in (("after_upstream", None), ("after_success", since)):
        asked = page.tick(sensor, location=location, cursor=cursor)
        assert (asked["error"], [one["runKey"] for one in asked["runRequests"]]) == (None, [run.id])
    found = page.scheduled("yearly", location=location)
    assert (found["error"], int(found["skipReason"]) > 0) == (None, True)
    tick = told(deployment, location)
    assert tick == {**SETTINGS, "runs": tick["runs"]}


def test_a_pool_of_one_under_runs_of_each_kind(settled: Settled) -> None:
    """At most one at once, and the limit is the same meanwhile and after."""
    page = settled.deployment.page
    pooled = Pooled.launch(settled.deployment, POOLED)
    for run, kind in pooled.runs:
        run.wait_for("SUCCESS", seconds=180)
        kind.check(run)
        assert page.pool_limits() == {"probe": (1, True)}
    pooled.check_one_at_once()


def test_a_rotation_in_the_middle_of_ten_runs(settled: Settled) -> None:
    """They go on, others start, and nothing is restarted."""
    deployment = settled.deployment
    assert deployment.storage.postgres is not None

    def processes() -> tuple[object, ...]:
        standing = [deployment.standing_task(location) for location in (PROBE, OTHER)]
        return deployment.webserver.pid, deployment.daemon.pid, *standing

    before = processes()
    kinds = [KINDS[name] for name in ["isolated"] * 4 + ["spawned"] * 2 + ["warm"] * 4]
    runs = [deployment.launch(location=kind.location, asked=kind.asked) for kind in kinds]
    for run in runs:
        run.wait_for_place()

    deployment.storage.postgres.rotate()
    for run in runs:
        run.go()
    runs += of_each_kind(deployment)
    for run, kind in zip(runs, [*kinds, *KINDS.values()], strict=True):
        run.wait_for("SUCCESS")
        kind.check(run)
    assert deployment.page.tick("tells_its_instance", location=PROBE)["error"] is None
    assert processes() == before


def of_each_kind(deployment: DagsterDeployment) -> list[Run]:
    """A run of each."""
    return [
        deployment.launch(location=kind.location, asked=kind.asked, held=False)
        for kind in KINDS.values()
    ]


@pytest.mark.parametrize("location", [PROBE, OTHER], ids=["warm", "spawned"])
def test_a_tick_may_take_a_hundred_seconds(settled: Settled, location: str) -> None:
    """A sensor's, which the daemon asks for, and a schedule's, which the webserver does."""
    selector = {
        "repositoryLocationName": location,
        "repositoryName": REPOSITORY,
        "sensorName": "takes_long",
    }

    def ended() -> Mapping[str, Any] | None:
        found = settled.deployment.page.ask(LONG_TICKS, selector=selector)["sensorOrError"]
        return next((one for one in found["sensorState"]["ticks"] if one["endTimestamp"]), None)

    tick = eventually(ended, "the sensor's tick has ended", 2 * LONG_SECONDS)
    assert tick["status"] == "SKIPPED", tick
    assert int(tick["skipReason"]) > 0
    assert tick["endTimestamp"] - tick["timestamp"] > LONG_SECONDS
    settled.deployment.page.switch("sensor", "takes_long", location=location, on=False)
    result = settled.long[location].result(2 * LONG_SECONDS)
    assert (result["error"], int(result["skipReason"]) > 0) == (None, True)


@pytest.mark.parametrize("form", ["a URL", "IAM"])
def test_other_forms_of_the_database_secret(settled: Settled, form: str) -> None:
    """The others are those of the tests above, and of all tests elsewhere."""
    deployment = settled.deployment
    assert deployment.storage.postgres is not None
    deployment.up(instance={**deployment.storage.postgres.forms[form], **settled.instance})
    deployment.take_on_instance()
    wait_for_service(deployment)
    for run, kind in zip(of_each_kind(deployment), KINDS.values(), strict=True):
        run.wait_for("SUCCESS")
        kind.check(run)
        assert run.tags[tag_names.INSTANCE] == settled.version
