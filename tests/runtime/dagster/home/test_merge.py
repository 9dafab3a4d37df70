"""`run-isolation dagster-home`: files that Dagster reads, and what becomes of the user's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from dagster import DagsterInstance
from dagster._core.instance.config import dagster_instance_config
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._daemon.auto_run_reexecution.event_log_consumer import EventLogConsumerDaemon
from dagster_aws.s3.compute_log_manager import S3ComputeLogManager

from run_isolation import Instance, Location, Manifest, Network, Size
from run_isolation.cli import main
from run_isolation.dagster.coordinator import RunIsolationCoordinator
from run_isolation.dagster.deployment import MANIFEST
from run_isolation.dagster.home.dagster_yaml import instance_config
from run_isolation.dagster.home.merge import (
    RESOLVER,
    HomeConflictError,
    write_home,
    write_task_home,
)
from run_isolation.dagster.launcher import RunIsolationLauncher
from run_isolation.default_instance import COORDINATOR, LAUNCHER, postgres
from tests.runtime.dagster.account import PARAMETER, Stack


def location(name: str) -> Location:
    size = Size(cpu=256, memory=1024)
    return Location(
        host=f"{name}.prod.run-isolation.internal",
        port=4000,
        standing=size,
        isolated=size,
        log_group=f"/run-isolation/prod/{name}",
    )


def manifest(instance: Instance, *locations: str) -> Manifest:
    return Manifest(
        deployment="prod",
        account="123456789012",
        region="eu-west-1",
        cluster="arn:aws:ecs:eu-west-1:123456789012:cluster/run-isolation-prod",
        table="run-isolation-prod-slots",
        network=Network(subnets=["subnet-1"], security_groups=["sg-1"]),
        instance=instance,
        locations={name: location(name) for name in locations},
    )


@pytest.fixture
def local(tmp_path: Path) -> Manifest:
    return manifest(Instance(sqlite_directory=str(tmp_path / "sqlite")), "sales", "research")


POSTGRES = Instance(database_url_secret_arn="arn:secret", compute_logs_bucket="logs")


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    return content


def test_dagster_opens_it(local: Manifest, tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert [file.changed for file in write_home(home, local)] == [True, True]
    with DagsterInstance.from_config(str(home)) as instance:
        assert isinstance(instance.run_coordinator, RunIsolationCoordinator)
        assert isinstance(instance.run_launcher, RunIsolationLauncher)
        assert instance.run_monitoring_enabled
        assert instance.run_monitoring_start_timeout_seconds == 1200
        assert instance.run_retries_enabled
        # Without the tag dagster/max_retries no run is retried.
        assert instance.run_retries_max_retries == 0
        assert EventLogConsumerDaemon.daemon_type() in instance.get_required_daemon_types()
        assert instance.run_coordinator.dequeue_interval_seconds == 1
        for settings in (instance.get_sensor_settings(), instance.get_scheduler_settings()):
            assert settings == {"use_threads": True, "num_workers": 4}
        assert instance.get_runs_count() == 0
    assert (tmp_path / "sqlite").is_dir()
    origins = WorkspaceFileTarget([str(home / "workspace.yaml")]).create_origins()
    assert {origin.location_name for origin in origins} == {"sales", "research"}


def test_postgres_is_named_by_its_secret(tmp_path: Path) -> None:
    write_home(tmp_path, manifest(POSTGRES, "sales"))
    config = read(tmp_path / "dagster.yaml")
    assert config["storage"] == postgres(secret_arn="arn:secret")
    dagster_instance_config(str(tmp_path))  # raises on what Dagster does not accept


def test_compute_logs_go_to_the_bucket(tmp_path: Path) -> None:
    sqlite = str(tmp_path / "sqlite")
    write_home(
        tmp_path,
        manifest(Instance(sqlite_directory=sqlite, compute_logs_bucket="logs"), "sales"),
    )
    with DagsterInstance.from_config(str(tmp_path)) as instance:
        logs = instance.compute_log_manager
        assert isinstance(logs, S3ComputeLogManager)
        assert logs._s3_bucket == "logs"


def test_without_bucket_and_directory_output_stays_in_the_tasks_log_stream() -> None:
    config = instance_config(manifest(Instance(database_url_secret_arn="arn:secret"), "sales"))
    assert config["compute_logs"]["class"] == "NoOpComputeLogManager"


def test_a_second_time_changes_nothing(local: Manifest, tmp_path: Path) -> None:
    write_home(tmp_path, local)
    before = [(path.read_text(), path.stat().st_mtime_ns) for path in tmp_path.glob("*.yaml")]
    assert [file.changed for file in write_home(tmp_path, local)] == [False, False]
    assert before == [
        (path.read_text(), path.stat().st_mtime_ns) for path in tmp_path.glob("*.yaml")
    ]


def existing(tmp_path: Path, config: dict[str, Any], name: str = "dagster.yaml") -> None:
    (tmp_path / name).write_text(yaml.safe_dump(config))


def test_the_users_own_keys_stay(local: Manifest, tmp_path: Path) -> None:
    mine = {
        "telemetry": {"enabled": False},
        "run_monitoring": {"start_timeout_seconds": 60},
        "storage": {"sqlite": {"base_dir": "elsewhere"}},
    }
    existing(tmp_path, mine)
    written, _ = write_home(tmp_path, local)
    config = read(tmp_path / "dagster.yaml")
    assert config["telemetry"] == {"enabled": False}
    assert config["storage"] == mine["storage"]
    assert written.kept == ("storage",)
    assert config["run_monitoring"]["start_timeout_seconds"] == 60
    assert config["run_monitoring"]["enabled"] is True


@pytest.mark.parametrize(
    "queue",
    [
        {"run_queue": {"max_concurrent_runs": 3}},
        {
            "run_coordinator": {
                "module": "dagster.core.run_coordinator",
                "class": "QueuedRunCoordinator",
                "config": {"max_concurrent_runs": 3},
            }
        },
    ],
)
def test_limits_of_dagsters_own_queue_carry_over(
    local: Manifest, tmp_path: Path, queue: dict[str, Any]
) -> None:
    existing(tmp_path, queue)
    write_home(tmp_path, local)
    assert read(tmp_path / "dagster.yaml")["run_coordinator"] == {
        **COORDINATOR,
        "config": {"dequeue_interval_seconds": 1, "max_concurrent_runs": 3},
    }
    with DagsterInstance.from_config(str(tmp_path)) as instance:
        config = instance.get_concurrency_config().run_queue_config
        assert config is not None
        assert config.max_concurrent_runs == 3
    assert not write_home(tmp_path, local)[0].changed


@pytest.mark.parametrize(
    ("key", "found"), [("run_launcher", "EcsRunLauncher"), ("run_coordinator", "Theirs")]
)
def test_another_launcher_or_coordinator_is_replaced_only_by_force(
    local: Manifest, tmp_path: Path, key: str, found: str
) -> None:
    existing(tmp_path, {key: {"module": "theirs", "class": found}})
    before = (tmp_path / "dagster.yaml").read_text()
    with pytest.raises(HomeConflictError, match=f"another {key}: {found}"):
        write_home(tmp_path, local)
    assert (tmp_path / "dagster.yaml").read_text() == before
    assert not (tmp_path / "workspace.yaml").exists()
    write_home(tmp_path, local, force=True)
    config = read(tmp_path / "dagster.yaml")
    assert config["run_coordinator"] == instance_config(local)["run_coordinator"]
    assert config["run_launcher"] == LAUNCHER


@pytest.mark.parametrize(
    ("mine", "expected"),
    [
        (
            {"run_retries": {"max_retries": 3}},
            {"run_retries": {"enabled": True, "max_retries": 3}},
        ),
        ({"run_retries": {"enabled": False}}, {"run_retries": {"enabled": False}}),
        ({"run_retries": None}, {"run_retries": {"enabled": True}}),
        (
            {"run_queue": {"dequeue_interval_seconds": 7}},
            {"run_coordinator": {**COORDINATOR, "config": {"dequeue_interval_seconds": 7}}},
        ),
        (
            {
                "run_coordinator": {
                    "module": "dagster.core.run_coordinator",
                    "class": "QueuedRunCoordinator",
                    "config": {"dequeue_interval_seconds": {"env": "PACE"}},
                }
            },
            {
                "run_coordinator": {
                    **COORDINATOR,
                    "config": {"dequeue_interval_seconds": {"env": "PACE"}},
                }
            },
        ),
        (
            {"run_coordinator": dict(COORDINATOR)},
            {"run_coordinator": {**COORDINATOR, "config": {"dequeue_interval_seconds": 1}}},
        ),
        ({"sensors": {"use_threads": False}}, {"sensors": {"use_threads": False}}),
        ({"schedules": {"num_workers": 9}}, {"schedules": {"num_workers": 9}}),
        (
            {"concurrency": {"runs": {"max_concurrent_runs": 3}}},
            {"concurrency": {"runs": {"max_concurrent_runs": 3}}},
        ),
    ],
    ids=str,
)
def test_the_users_own_value_wins(
    local: Manifest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mine: dict[str, Any],
    expected: dict[str, Any],
) -> None:
    monkeypatch.setenv("PACE", "7")
    existing(tmp_path, mine)
    write_home(tmp_path, local)
    config = read(tmp_path / "dagster.yaml")
    assert {key: config[key] for key in expected} == expected
    dagster_instance_config(str(tmp_path))  # raises on what Dagster does not accept
    assert not write_home(tmp_path, local)[0].changed


def test_the_workspace_follows_the_manifest_and_keeps_other_entries(tmp_path: Path) -> None:
    theirs = {"python_file": "mine.py"}
    existing(tmp_path, {"load_from": [theirs]}, "workspace.yaml")
    write_home(tmp_path, manifest(POSTGRES, "sales", "research"))
    write_home(tmp_path, manifest(POSTGRES, "sales", "finance"))
    entries = read(tmp_path / "workspace.yaml")["load_from"]
    assert entries[0] == theirs
    assert [entry["grpc_server"]["location_name"] for entry in entries[1:]] == ["finance", "sales"]


def test_a_location_of_the_same_name_elsewhere_is_a_conflict(
    local: Manifest, tmp_path: Path
) -> None:
    server = {"host": "elsewhere", "port": 1, "location_name": "sales"}
    existing(tmp_path, {"load_from": [{"grpc_server": server}]}, "workspace.yaml")
    with pytest.raises(HomeConflictError, match="'sales' at elsewhere"):
        write_home(tmp_path, local)


def test_a_resolver_goes_into_the_hosts_and_is_recognised_again(
    local: Manifest, tmp_path: Path
) -> None:
    write_home(tmp_path, local, resolver="127.0.0.1:5353")
    hosts = [
        entry["grpc_server"]["host"] for entry in read(tmp_path / "workspace.yaml")["load_from"]
    ]
    assert hosts[0] == "dns://127.0.0.1:5353/research.prod.run-isolation.internal"
    write_home(tmp_path, local)
    assert len(read(tmp_path / "workspace.yaml")["load_from"]) == 2


def test_a_file_that_is_no_mapping_is_left_alone(local: Manifest, tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text("- a list\n")
    with pytest.raises(HomeConflictError, match="not a mapping"):
        write_home(tmp_path, local)


QUIET = {"telemetry": {"enabled": False}}


def of_task(manifest: Manifest) -> dict[str, Any]:
    """What the deployment says to an isolated task: all but who decides about retries."""
    config = instance_config(manifest)
    del config["run_retries"]
    return config


class TestTaskHome:
    """`dagster.yaml` of an isolated task."""

    def write(
        self, tmp_path: Path, local: Manifest, image: dict[str, Any] | None
    ) -> dict[str, Any]:
        image_home, home = tmp_path / "image", tmp_path / "task"
        for directory in (image_home, home):
            directory.mkdir()
        if image is not None:
            existing(image_home, image)
        write_task_home(home, local, image_home)
        dagster_instance_config(str(home))  # raises on what Dagster does not accept
        return read(home / "dagster.yaml")

    def test_other_keys_of_the_image_stay(self, local: Manifest, tmp_path: Path) -> None:
        mine = {
            "python_logs": {"managed_python_loggers": ["root"]},
            "telemetry": {"enabled": True},
        }
        assert self.write(tmp_path, local, mine) == {**mine, **of_task(local)}

    @pytest.mark.parametrize(
        "image",
        [
            {"storage": {"sqlite": {"base_dir": "elsewhere"}}},
            {
                "run_storage": {
                    "module": "dagster.core.storage.runs",
                    "class": "SqliteRunStorage",
                    "config": {"base_dir": "elsewhere"},
                }
            },
            {"run_queue": {"max_concurrent_runs": 3}},
            {"run_launcher": {"module": "dagster_aws.ecs", "class": "EcsRunLauncher"}},
            {"run_coordinator": {"module": "theirs", "class": "Theirs"}},
            {"compute_logs": {"module": "theirs", "class": "Theirs"}},
            {"run_retries": {"enabled": True, "max_retries": 5}},
        ],
        ids=lambda image: next(iter(image)),
    )
    def test_the_run_is_in_the_deployments_instance_whatever_the_image_says(
        self, local: Manifest, tmp_path: Path, image: dict[str, Any]
    ) -> None:
        assert self.write(tmp_path, local, image) == {**QUIET, **of_task(local)}

    def test_an_image_without_the_file(self, local: Manifest, tmp_path: Path) -> None:
        assert self.write(tmp_path, local, None) == {**QUIET, **of_task(local)}


class TestCommand:
    def test_it_writes_what_the_manifest_says(
        self, stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(RESOLVER, "127.0.0.1:5353")
        result = CliRunner().invoke(main, ["dagster-home", "--path", str(tmp_path / "home")])
        assert result.exit_code == 0, result.output
        assert f"{tmp_path}/home/dagster.yaml: written" in result.output
        server = read(tmp_path / "home" / "workspace.yaml")["load_from"][0]["grpc_server"]
        assert server["host"] == f"dns://127.0.0.1:5353/{stack.manifest.locations['probe'].host}"

    def test_it_refuses_in_words(self, stack: Stack, tmp_path: Path) -> None:
        existing(tmp_path, {"run_launcher": {"module": "theirs", "class": "EcsRunLauncher"}})
        result = CliRunner().invoke(main, ["dagster-home", "--path", str(tmp_path)])
        assert result.exit_code == 1
        assert "pass --force" in result.output

    def test_it_says_which_variable_is_missing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv(MANIFEST, raising=False)
        result = CliRunner().invoke(main, ["dagster-home", "--path", str(tmp_path)])
        assert result.exit_code == 1
        assert f"Set {MANIFEST}=" in result.output
        assert PARAMETER not in result.output
