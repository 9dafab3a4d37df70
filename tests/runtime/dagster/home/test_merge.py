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
from run_isolation.dagster.deployment import MANIFEST as MANIFEST_VARIABLE
from run_isolation.dagster.home.files import HomeConflictError, Written, version_of
from run_isolation.dagster.home.merge import write_home
from run_isolation.dagster.home.workspace import RESOLVER
from run_isolation.dagster.launcher import RunIsolationLauncher
from run_isolation.default_instance import (
    COORDINATOR,
    LAUNCHER,
    default_dagster_yaml,
    local_logs,
    s3_logs,
    sqlite,
)
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


MANIFEST = Manifest(
    deployment="prod",
    account="123456789012",
    region="eu-west-1",
    cluster="arn:aws:ecs:eu-west-1:123456789012:cluster/run-isolation-prod",
    table="run-isolation-prod-slots",
    network=Network(subnets=["subnet-1"], security_groups=["sg-1"]),
    locations={name: location(name) for name in ("sales", "research")},
)


def of(tmp_path: Path, **keys: object) -> Instance:
    """The deployment's instance, with these keys beside or in place of the defaults."""
    directory = str(tmp_path / "sqlite")
    return Instance(
        dagster_yaml=default_dagster_yaml(sqlite(directory), local_logs(directory)) | keys
    )


@pytest.fixture
def local(tmp_path: Path) -> Instance:
    return of(tmp_path)


def write(home: Path, instance: Instance, *, force: bool = False) -> Written:
    """What became of ``dagster.yaml``."""
    return write_home(home, MANIFEST, instance, force=force)[0]


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    return content


def test_dagster_opens_it(local: Instance, tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert [file.changed for file in write_home(home, MANIFEST, local)] == [True, True]
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


def test_compute_logs_go_to_the_bucket(tmp_path: Path) -> None:
    write(tmp_path, of(tmp_path, compute_logs=s3_logs("logs", "prod", "eu-west-1")))
    with DagsterInstance.from_config(str(tmp_path)) as instance:
        logs = instance.compute_log_manager
        assert isinstance(logs, S3ComputeLogManager)
        assert logs._s3_bucket == "logs"


def test_a_second_time_changes_nothing(local: Instance, tmp_path: Path) -> None:
    write(tmp_path, local)
    before = [(path.read_text(), path.stat().st_mtime_ns) for path in tmp_path.glob("*.yaml")]
    written = write_home(tmp_path, MANIFEST, local)
    assert [(file.changed, file.told) for file in written] == [(False, ()), (False, ())]
    assert before == [
        (path.read_text(), path.stat().st_mtime_ns) for path in tmp_path.glob("*.yaml")
    ]


def existing(tmp_path: Path, config: dict[str, Any], name: str = "dagster.yaml") -> None:
    (tmp_path / name).write_text(yaml.safe_dump(config))


def test_the_users_own_keys_stay(local: Instance, tmp_path: Path) -> None:
    mine = {
        "telemetry": {"enabled": False},
        "run_monitoring": {"start_timeout_seconds": 60},
        "compute_logs": local_logs("elsewhere"),
    }
    existing(tmp_path, mine)
    written = write(tmp_path, local)
    config = read(tmp_path / "dagster.yaml")
    assert config["telemetry"] == {"enabled": False}
    assert config["compute_logs"] == mine["compute_logs"]
    assert ["Kept your compute_logs" in line for line in written.told] == [True]
    assert config["run_monitoring"]["start_timeout_seconds"] == 60
    assert config["run_monitoring"]["enabled"] is True


QUEUES: list[dict[str, Any]] = [
    {"run_queue": {"max_concurrent_runs": 3}},
    {
        "run_coordinator": {
            "module": "dagster.core.run_coordinator",
            "class": "QueuedRunCoordinator",
            "config": {"max_concurrent_runs": 3},
        }
    },
]


@pytest.mark.parametrize("queue", QUEUES, ids=list)
def test_limits_of_dagsters_own_queue_that_the_deployment_has_too(
    tmp_path: Path, queue: dict[str, Any]
) -> None:
    limit = {"dequeue_interval_seconds": 1, "max_concurrent_runs": 3}
    instance = of(tmp_path, run_coordinator=COORDINATOR | {"config": limit})
    existing(tmp_path, queue)
    write(tmp_path, instance)
    assert read(tmp_path / "dagster.yaml")["run_coordinator"] == {**COORDINATOR, "config": limit}
    with DagsterInstance.from_config(str(tmp_path)) as opened:
        config = opened.get_concurrency_config().run_queue_config
        assert config is not None
        assert config.max_concurrent_runs == 3
    assert not write(tmp_path, instance).changed


def test_limits_that_the_deployment_has_under_the_name_of_now(tmp_path: Path) -> None:
    """The file is of EcsRunLauncher's time; the stack's config is spelled as Dagster+'s."""
    concurrency = {"runs": {"max_concurrent_runs": 3}, "pools": {"default_limit": 1}}
    instance = of(tmp_path, concurrency=concurrency)
    old = {"concurrency": {"default_op_concurrency_limit": 1}}
    existing(tmp_path, old | {"run_queue": {"max_concurrent_runs": 3}})
    write(tmp_path, instance)
    made = read(tmp_path / "dagster.yaml")
    assert made["concurrency"] == concurrency
    assert "run_queue" not in made


POOLS = {"pools": {"default_limit": 1, "granularity": "op"}}


@pytest.mark.parametrize(
    ("mine", "lines"),
    [
        *(
            (queue, ["run_queue.max_concurrent_runs: here 3, in the deployment nothing"])
            for queue in QUEUES
        ),
        (
            {"run_queue": {"dequeue_interval_seconds": {"env": "PACE"}}},
            ["run_queue.dequeue_interval_seconds: here {'env': 'PACE'}, in the deployment 1"],
        ),
        (
            {"concurrency": {"pools": {"default_limit": 2, "granularity": "op"}, "runs": {}}},
            ["concurrency.pools.default_limit: here 2, in the deployment 1"],
        ),
        (
            {"storage": {"postgres": {"postgres_url": "postgresql://u:hush@db/x"}}},
            ["storage: here postgres (postgres.postgres_url), in the deployment sqlite"],
        ),
        (
            {"storage": {"sqlite": {"base_dir": "elsewhere"}}},
            ["storage: here sqlite (sqlite.base_dir), in the deployment sqlite"],
        ),
        (
            {
                "run_storage": {"module": "mine", "class": "Mine", "config": {"key": "hush"}},
                "concurrency": {"pools": {"granularity": "run"}},
            },
            [
                "run_storage: here mine.Mine; storage: in the deployment sqlite",
                "concurrency.pools.granularity: here run, in the deployment op",
            ],
        ),
    ],
    ids=str,
)
def test_what_runs_are_bound_by_must_be_the_deployments(
    tmp_path: Path, mine: dict[str, Any], lines: list[str]
) -> None:
    instance = of(tmp_path, concurrency=POOLS)
    existing(tmp_path, mine)
    before = (tmp_path / "dagster.yaml").read_text()
    with pytest.raises(HomeConflictError) as refused:
        write(tmp_path, instance)
    said = str(refused.value).splitlines()
    assert [line.strip() for line in said[1:-1]] == lines
    assert "say it in the stack's config" in said[-1]
    assert "hush" not in str(refused.value)
    assert (tmp_path / "dagster.yaml").read_text() == before
    write(tmp_path, instance, force=True)
    config = read(tmp_path / "dagster.yaml")
    assert config == instance.dagster_yaml | {"run_launcher": LAUNCHER}
    assert not write(tmp_path, instance).changed


def test_what_was_written_before_is_not_the_users_own(tmp_path: Path) -> None:
    """So a changed instance reaches a home, and what the user has said stays."""
    write(tmp_path, of(tmp_path, concurrency=POOLS, python_logs={"python_log_level": "INFO"}))
    config = read(tmp_path / "dagster.yaml")
    config["run_monitoring"]["poll_interval_seconds"] = 5
    config["nux"] = {"enabled": False}
    existing(tmp_path, config)
    queue = COORDINATOR | {"config": {"max_concurrent_runs": 3}}
    monitoring = {"enabled": True, "start_timeout_seconds": 99}
    after = of(tmp_path, run_coordinator=queue, run_monitoring=monitoring, sensors={})
    assert write(tmp_path, after).changed
    assert read(tmp_path / "dagster.yaml") == after.dagster_yaml | {
        "run_monitoring": {**monitoring, "poll_interval_seconds": 5},
        "nux": {"enabled": False},
    }
    assert version_of(tmp_path) == after.version
    existing(tmp_path, config)
    with pytest.raises(HomeConflictError, match=r"concurrency\.pools\.default_limit"):
        write(tmp_path, after)


@pytest.mark.parametrize(
    ("key", "found"), [("run_launcher", "EcsRunLauncher"), ("run_coordinator", "Theirs")]
)
def test_another_launcher_or_coordinator_is_replaced_only_by_force(
    local: Instance, tmp_path: Path, key: str, found: str
) -> None:
    existing(tmp_path, {key: {"module": "theirs", "class": found}})
    before = (tmp_path / "dagster.yaml").read_text()
    with pytest.raises(HomeConflictError, match=f"another {key}: {found}"):
        write(tmp_path, local)
    assert (tmp_path / "dagster.yaml").read_text() == before
    assert not (tmp_path / "workspace.yaml").exists()
    write(tmp_path, local, force=True)
    config = read(tmp_path / "dagster.yaml")
    assert config["run_coordinator"] == local.dagster_yaml["run_coordinator"]
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
            {"run_coordinator": dict(COORDINATOR)},
            {"run_coordinator": {**COORDINATOR, "config": {"dequeue_interval_seconds": 1}}},
        ),
        ({"sensors": {"use_threads": False}}, {"sensors": {"use_threads": False}}),
        ({"schedules": {"num_workers": 9}}, {"schedules": {"num_workers": 9}}),
    ],
    ids=str,
)
def test_the_users_own_value_wins(
    local: Instance, tmp_path: Path, mine: dict[str, Any], expected: dict[str, Any]
) -> None:
    existing(tmp_path, mine)
    write(tmp_path, local)
    config = read(tmp_path / "dagster.yaml")
    assert {key: config[key] for key in expected} == expected
    dagster_instance_config(str(tmp_path))  # raises on what Dagster does not accept
    assert not write(tmp_path, local).changed


def test_a_file_that_is_no_mapping_is_left_alone(local: Instance, tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text("- a list\n")
    with pytest.raises(HomeConflictError, match="not a mapping"):
        write(tmp_path, local)


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
        monkeypatch.delenv(MANIFEST_VARIABLE, raising=False)
        result = CliRunner().invoke(main, ["dagster-home", "--path", str(tmp_path)])
        assert result.exit_code == 1
        assert f"Set {MANIFEST_VARIABLE}=" in result.output
        assert PARAMETER not in result.output
