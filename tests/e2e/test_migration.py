"""A deployment that was launched by EcsRunLauncher, with all that its documentation shows."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster import DagsterInstance
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    GrpcServerCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    ScheduleInstigatorData,
    SensorInstigatorData,
)
from sqlalchemy.engine import URL

from tests.e2e.dagster_deployment import INSTANCE, LOCATIONS, ON, OTHER, DagsterDeployment
from tests.e2e.kinds import KINDS
from tests.e2e.page import REPOSITORY
from tests.e2e.programs import BIN
from tests.e2e.storage import LOGS
from tests.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.one_storage]

NAME = "my_pkg.definitions"
"""What Dagster called the code location: its default, the module's name."""
SENSOR, SCHEDULE = "counts", "reads_a_file_yearly"
CURSOR = 41
SECRET = "DAGSTER_POSTGRES_PASSWORD"

STATE = """
query State($sensor: SensorSelector!, $schedule: ScheduleSelector!) {
  sensorOrError(sensorSelector: $sensor) {
    ... on Sensor { sensorState { status typeSpecificData { ... on SensorData { lastCursor } } } }
  }
  scheduleOrError(scheduleSelector: $schedule) { ... on Schedule { scheduleState { status } } }
}"""


def database(class_: str, module: str) -> dict[str, Any]:
    """One of the three storages, as the example names it."""
    return {
        "module": f"dagster_postgres.{module}",
        "class": class_,
        "config": {
            "postgres_db": {
                "hostname": {"env": "DAGSTER_POSTGRES_HOSTNAME"},
                "username": {"env": "DAGSTER_POSTGRES_USER"},
                "password": {"env": SECRET},
                "db_name": {"env": "DAGSTER_POSTGRES_DB"},
                "port": {"env": "DAGSTER_POSTGRES_PORT"},
            }
        },
    }


LAUNCHER = {
    "run_launcher": {
        "module": "dagster_aws.ecs",
        "class": "EcsRunLauncher",
        "config": {
            # https://docs.dagster.io/deployment/oss/deployment-options/aws
            "task_definition": {"env": "DAGSTER_ECS_TASK_DEFINITION"},
            "container_name": "my_container_name",
            "secrets": [
                {
                    "name": "MY_API_TOKEN",
                    "valueFrom": "arn:aws:secretsmanager:us-east-1:123456789012:secret:FOO-AbCdEf",
                }
            ],
            "secrets_tag": "dagster",
            "env_vars": ["FOO=bar", "BAR"],
            "include_sidecars": True,
            "run_resources": {"cpu": "256", "memory": "512", "ephemeral_storage": 100},
        },
    }
}
DAGSTER_YAML: Mapping[str, Any] = {
    # https://github.com/dagster-io/dagster/blob/master/examples/deploy_ecs/dagster.yaml
    "scheduler": {"module": "dagster.core.scheduler", "class": "DagsterDaemonScheduler"},
    "run_coordinator": {
        "module": "dagster.core.run_coordinator",
        "class": "QueuedRunCoordinator",
        "config": dict(INSTANCE["run_queue"]),
    },
    "run_storage": database("PostgresRunStorage", "run_storage"),
    "schedule_storage": database("PostgresScheduleStorage", "schedule_storage"),
    "event_log_storage": database("PostgresEventLogStorage", "event_log"),
    # https://docs.dagster.io/deployment/oss/deployment-options/aws
    "compute_logs": {
        "module": "dagster_aws.s3.compute_log_manager",
        "class": "S3ComputeLogManager",
        "config": {"bucket": LOGS, "prefix": "dagster-compute", "region": {"env": "AWS_REGION"}},
    },
    "run_monitoring": {"enabled": True, "poll_interval_seconds": 2},
    "run_retries": {"enabled": True, "max_retries": 0},
    "python_logs": {"python_log_level": "INFO"},
    "telemetry": {"enabled": False},
}
"""Of webserver and daemon, but for the launcher."""


def url(deployment: DagsterDeployment) -> URL:
    """Of the database, with the password that is valid now."""
    assert deployment.storage.postgres is not None
    return deployment.storage.postgres.url


def environment(deployment: DagsterDeployment) -> dict[str, str]:
    """What the example's tasks have, but for the password."""
    place = url(deployment)
    found = {
        "HOSTNAME": place.host,
        "PORT": place.port,
        "DB": place.database,
        "USER": place.username,
    }
    return {f"DAGSTER_POSTGRES_{name}": str(value) for name, value in found.items()}


def turn_on(deployment: DagsterDeployment, home: Path) -> None:
    """Sensor and schedule are on, and it has a cursor, as Dagster's own daemon has left them."""
    location = GrpcServerCodeLocationOrigin(host="old.example", port=4000, location_name=NAME)
    repository = RemoteRepositoryOrigin(location, REPOSITORY)
    sensor, schedule = (RemoteInstigatorOrigin(repository, name) for name in (SENSOR, SCHEDULE))
    counting = SensorInstigatorData(min_interval=1, cursor=str(CURSOR))
    running = InstigatorStatus.RUNNING
    states = [
        InstigatorState(sensor, InstigatorType.SENSOR, running, counting),
        InstigatorState(
            schedule, InstigatorType.SCHEDULE, running, ScheduleInstigatorData("@yearly")
        ),
    ]
    storage = {"postgres": {"postgres_url": url(deployment).render_as_string(hide_password=False)}}
    config = {"storage": storage, "telemetry": {"enabled": False}}
    (home / "dagster.yaml").write_text(yaml.safe_dump(config))
    with DagsterInstance.from_config(str(home)) as instance:
        for state in states:
            instance.add_instigator_state(state)


def stop(deployment: DagsterDeployment) -> None:
    """Nobody logs in as the instance of before says, from when `up` takes the right to it away."""
    deployment.webserver.stop()
    deployment.daemon.stop()


@pytest.fixture
def migrated(deployment: DagsterDeployment, tmp_path: Path) -> Iterator[DagsterDeployment]:
    turn_on(deployment, tmp_path)
    manager = deployment.account.client("secretsmanager")
    password = manager.create_secret(
        Name="migrated-password", SecretString=url(deployment).password
    )
    stop(deployment)
    deployment.up(
        {**ON, "max_concurrent_non_isolated_runs": 2},
        {**LOCATIONS, OTHER: {**LOCATIONS[OTHER], "locationName": NAME}},
        {
            "dagsterYaml": dict(DAGSTER_YAML),
            "env": environment(deployment),
            "secrets": {SECRET: password["ARN"]},
            "io": "create",
        },
    )
    deployment.take_on_instance()
    eventually(lambda: deployment.shows(NAME), "the page has loaded the location")
    eventually(deployment.serves, "the container of before has gone")
    yield deployment
    deployment.page.switch("sensor", SENSOR, location=NAME, on=False)
    deployment.page.switch("schedule", SCHEDULE, location=NAME, on=False)
    stop(deployment)
    instance = {**deployment.storage.instance, "dagsterYaml": dict(INSTANCE)}
    deployment.up(ON, LOCATIONS, instance)
    deployment.take_on_instance()
    eventually(deployment.shows, "the page has loaded the location")


def state(deployment: DagsterDeployment) -> tuple[str, str, int]:
    """The schedule's and the sensor's status, and the cursor, as the page shows them."""
    here = {"repositoryLocationName": NAME, "repositoryName": REPOSITORY}
    found = deployment.page.ask(
        STATE,
        sensor={**here, "sensorName": SENSOR},
        schedule={**here, "scheduleName": SCHEDULE},
    )
    schedule = found["scheduleOrError"]["scheduleState"]
    sensor = found["sensorOrError"]["sensorState"]
    return schedule["status"], sensor["status"], int(sensor["typeSpecificData"]["lastCursor"])


def dagster_home(deployment: DagsterDeployment, home: Path) -> subprocess.CompletedProcess[str]:
    """`run-isolation dagster-home` in the home that the old control plane had."""
    return subprocess.run(
        [BIN / "run-isolation", "dagster-home"],
        env={**deployment.environment("person"), "DAGSTER_HOME": str(home)},
        capture_output=True,
        text=True,
    )


def test_its_file_is_the_instance_and_its_sensors_go_on(
    migrated: DagsterDeployment, tmp_path: Path
) -> None:
    # The daemon goes on where the other one had stopped.
    eventually(
        lambda: state(migrated) > ("RUNNING", "RUNNING", CURSOR),
        lambda: f"the sensor counts on: {state(migrated)}",
    )
    names = {OTHER: NAME}
    runs = [
        migrated.launch(
            location=names.get(kind.location, kind.location), asked=kind.asked, held=False
        )
        for kind in KINDS.values()
    ]
    for run, kind in zip(runs, KINDS.values(), strict=True):
        run.wait_for("SUCCESS")
        kind.check(run)
    s3 = migrated.account.client("s3")
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket=LOGS).get("Contents", ())]
    for run in runs:
        assert any(key.startswith(f"dagster-compute/storage/{run.id}/") for key in keys), keys
    # The old home: each thing that has to go is named, and the rest stays.
    home = tmp_path / "home"
    home.mkdir()
    path = home / "dagster.yaml"
    path.write_text(yaml.safe_dump({**DAGSTER_YAML, **LAUNCHER}))
    refused = dagster_home(migrated, home)
    assert refused.returncode != 0
    assert "another run_launcher: EcsRunLauncher" in refused.stderr
    path.write_text(yaml.safe_dump(dict(DAGSTER_YAML)))
    written = dagster_home(migrated, home)
    assert written.returncode == 0, written.stderr
    config = yaml.safe_load(path.read_text())
    assert config["run_launcher"]["class"] == "RunIsolationLauncher"
    assert config["run_storage"] == DAGSTER_YAML["run_storage"]
