"""What a `dagster.yaml` may say, and what it may not."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster._core.instance.config import dagster_instance_config_schema
from dagster._core.run_coordinator import QueuedRunCoordinator
from pydantic import BaseModel

from infra.config.dagster_yaml import DagsterYaml
from tests.infra.config.refusals import accepted, problem, problems
from tests.infra.program import DATABASE, changed

QUEUE = {"module": "dagster.core.run_coordinator", "class": "QueuedRunCoordinator"}
SPLIT = (
    ("run_storage", "SqliteRunStorage"),
    ("event_log_storage", "ConsolidatedSqliteEventLogStorage"),
    ("schedule_storage", "SqliteScheduleStorage"),
)

TOP_LEVEL = {
    # Of 1.9.0; the later ones have all of them.
    *("local_artifact_storage", "compute_logs", "storage", "run_queue", "run_storage"),
    *("event_log_storage", "schedule_storage", "scheduler", "run_coordinator", "run_launcher"),
    *("telemetry", "nux", "instance_class", "python_logs", "run_monitoring", "run_retries"),
    *("code_servers", "secrets", "retention", "sensors", "schedules", "auto_materialize"),
    "concurrency",
    # Of 1.9.13, 1.11.0 and 1.12.0.
    *("backfills", "freshness", "defs_state_storage"),
}

EVERYTHING: dict[str, Any] = {
    "compute_logs": {
        "module": "dagster_aws.s3.compute_log_manager",
        "class": "S3ComputeLogManager",
        "config": {"bucket": {"env": "LOGS"}, "prefix": "dagster"},
    },
    "run_queue": {
        "max_concurrent_runs": {"env": "MOST"},
        "tag_concurrency_limits": [{"key": "a", "limit": 1}],
        "dequeue_use_threads": True,
        "block_op_concurrency_limited_runs": {"enabled": True},
    },
    "run_launcher": {
        "module": "run_isolation.dagster.launcher",
        "class": "RunIsolationLauncher",
    },
    "scheduler": {"module": "dagster.core.scheduler", "class": "DagsterDaemonScheduler"},
    "telemetry": {"enabled": False},
    "nux": {"enabled": False},
    "python_logs": {
        "managed_python_loggers": ["my_lib"],
        "python_log_level": "INFO",
        "dagster_handler_config": {"handlers": {"h": {"class": "logging.FileHandler"}}},
    },
    "run_monitoring": {"enabled": True, "poll_interval_seconds": 60},
    "run_retries": {"enabled": True, "max_retries": 1},
    "code_servers": {"local_startup_timeout": 120},
    "secrets": {"custom": {"module": "mine", "class": "Loader"}},
    "defs_state_storage": {"module": "mine", "class": "State"},
    "retention": {
        "schedule": {"purge_after_days": 90},
        "sensor": {"purge_after_days": {"skipped": 7}},
    },
    "backfills": {"use_threads": True, "num_submit_workers": 2},
    "sensors": {"use_threads": True, "num_workers": 8},
    "schedules": {"use_threads": False},
    "auto_materialize": {"run_tags": {"env": "prod"}, "max_tick_retries": 3},
    "freshness": {"enabled": True},
    "concurrency": {"pools": {"default_limit": 1, "granularity": "op"}},
}


def saying(content: object, **instance: Any) -> dict[str, Any]:
    """A config with this `dagsterYaml`, and what it needs."""
    own = {"databaseUrlSecretArn": DATABASE, "env": {"LOGS": "logs", "MOST": "5"}, **instance}
    own = {key: value for key, value in own.items() if value is not None}
    return changed(instance={**own, "dagsterYaml": content})


def test_all_of_it_is_taken_as_it_is() -> None:
    assert accepted(saying(EVERYTHING)).instance.dagster_yaml == EVERYTHING


def test_every_top_level_key_of_dagster_is_taken_or_refused_with_a_reason() -> None:
    ours = {*DagsterYaml.model_fields, *DagsterYaml.refused_keys}
    assert ours == TOP_LEVEL
    assert set(dagster_instance_config_schema()) == TOP_LEVEL


@pytest.mark.parametrize(
    "key",
    [
        *("telemetry", "nux", "python_logs", "run_monitoring", "run_retries", "code_servers"),
        *("secrets", "retention", "backfills", "sensors", "schedules", "auto_materialize"),
        *("freshness", "concurrency", "storage"),
    ],
)
def test_keys_below_are_dagsters_own(key: str) -> None:
    fields = dagster_instance_config_schema()[key].config_type.fields  # type: ignore[attr-defined]
    assert _keys(key) >= set(fields)


def test_the_queue_has_dagsters_own_keys() -> None:
    theirs: Any = QueuedRunCoordinator.config_type()
    assert _keys("run_queue") == set(theirs)


def _keys(key: str) -> set[str]:
    annotation = DagsterYaml.model_fields[key].annotation
    model = next(one for one in annotation.__args__ if issubclass(one, BaseModel))  # type: ignore[union-attr]
    return set(model.model_fields)


@pytest.mark.parametrize(
    ("content", "key", "value", "allowed", "nearest"),
    [
        ({"run_launchr": {}}, "run_launchr", "{}", "one of the keys storage", "run_launcher"),
        (
            {"run_launcher": {"module": "dagster_aws.ecs", "class": "EcsRunLauncher"}},
            "run_launcher",
            "EcsRunLauncher",
            "docs/migrating-from-ecs-run-launcher.md",
            None,
        ),
        (
            {"run_coordinator": {"module": "dagster", "class": "DefaultRunCoordinator"}},
            "run_coordinator.class",
            "DefaultRunCoordinator",
            "what the queue is told goes under run_queue",
            None,
        ),
        (
            {"instance_class": {"module": "a", "class": "B"}},
            "instance_class",
            "{'module': 'a', 'class': 'B'}",
            "absent: run-isolation's actors use Dagster's own instance",
            None,
        ),
        (
            {"local_artifact_storage": {"module": "dagster", "class": "LocalArtifactStorage"}},
            "local_artifact_storage",
            "{'module': 'dagster', 'class': 'LocalArtifactStorage'}",
            "`instance.io: create` keeps outputs on S3",
            None,
        ),
        (
            {"compute_logs": {"module": "dagster", "class": "LocalComputeLogManager"}},
            "compute_logs",
            "LocalComputeLogManager",
            "`instance.computeLogsBucket: create`",
            None,
        ),
        (
            {"scheduler": {"module": "dagster_cron", "class": "SystemCronScheduler"}},
            "scheduler",
            "SystemCronScheduler",
            "absent, or DagsterDaemonScheduler",
            "DagsterDaemonScheduler",
        ),
        (
            {"run_queue": {"max_concurrent_runs": "5"}},
            "run_queue.max_concurrent_runs",
            "5",
            "a whole number, without quotes, or {env: NAME}",
            None,
        ),
        (
            {"concurrency": {"default_op_concurrency_limit": 1001}},
            "concurrency.default_op_concurrency_limit",
            "1001",
            "0 to 1000",
            "1000",
        ),
        (
            {"auto_materialize": {"use_sensors": {"env": "MOST"}}},
            "auto_materialize.use_sensors",
            "{'env': 'MOST'}",
            "the value itself: Dagster looks up no environment variable here",
            None,
        ),
        (
            {"retention": {"sensor": {"purge_after_days": {"skiped": 1}}}},
            "retention.sensor.purge_after_days",
            "{'skiped': 1}",
            "skipped, success, failure, started",
            None,
        ),
    ],
)
def test_what_would_break_it_is_refused_with_what_to_say_instead(
    content: dict[str, Any], key: str, value: str, allowed: str, nearest: str | None
) -> None:
    found = problem(saying(content))
    assert found.key == f"run-isolation:instance.dagsterYaml.{key}"
    assert (found.value, found.nearest) == (value, nearest)
    assert allowed in found.allowed


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("dagster", "QueuedRunCoordinator"),
        ("dagster.core.run_coordinator", "QueuedRunCoordinator"),
        ("run_isolation.dagster.coordinator", "RunIsolationCoordinator"),
    ],
)
def test_a_coordinator_with_a_queue_is_taken(module: str, name: str) -> None:
    content = {"run_coordinator": {"module": module, "class": name, "config": {}}}
    assert accepted(saying(content)).instance.dagster_yaml == content


def test_a_queue_is_said_once() -> None:
    coordinator = {"module": "dagster", "class": "QueuedRunCoordinator"}
    found = problem(saying({"run_queue": {}, "run_coordinator": coordinator}))
    assert found.allowed == "run_queue or run_coordinator, not both"


def test_a_storage_of_ones_own_takes_the_place_of_the_database() -> None:
    storage = {"postgres": {"postgres_url": {"env": "URL"}}}
    url = {"secrets": {"URL": DATABASE}}
    accepted(saying({"storage": storage}, databaseUrlSecretArn=None, **url))
    found = problem(saying({"storage": storage}, **url))
    assert found.key == "run-isolation:instance"
    assert found.value == "databaseUrlSecretArn and a storage in dagsterYaml"


def test_split_storages_are_all_three_or_none() -> None:
    one = {"module": "dagster_postgres", "class": "X"}
    split = {"run_storage": one, "event_log_storage": one, "schedule_storage": one}
    accepted(saying(split, databaseUrlSecretArn=None))
    del split["schedule_storage"]
    found = problem(saying(split, databaseUrlSecretArn=None))
    assert found.key == "run-isolation:instance.dagsterYaml"
    assert found.value == "run_storage and event_log_storage"
    assert "together, or storage" in found.allowed


@pytest.mark.parametrize("storage", [{}, {"postgres": {}, "mysql": {}}])
def test_there_is_one_storage(storage: dict[str, Any]) -> None:
    found = problem(saying({"storage": storage}, databaseUrlSecretArn=None))
    assert found.allowed == "exactly one of postgres, mysql, custom"


def test_sqlite_and_logs_on_a_disk_are_for_the_local_account() -> None:
    content = {
        "storage": {"sqlite": {"base_dir": "/srv"}},
        "compute_logs": {"module": "dagster", "class": "LocalComputeLogManager"},
    }
    config = saying(content, databaseUrlSecretArn=None)
    accepted(config, account="000000000000")
    assert {one.value for one in problems(config)} == {"sqlite", "LocalComputeLogManager"}


@pytest.mark.parametrize(
    "content",
    [
        {key: {"module": "dagster.core.storage", "class": name} for key, name in SPLIT},
        {"storage": {"custom": {"module": "dagster", "class": "InMemoryStorage"}}},
    ],
)
def test_no_class_keeps_runs_on_the_disk_of_a_container(content: dict[str, Any]) -> None:
    config = saying(content, databaseUrlSecretArn=None)
    accepted(config, account="000000000000")
    for one in problems(config):
        assert "tasks on AWS share no disk" in one.allowed


def test_a_key_without_a_value_says_nothing() -> None:
    """As where all that is below it is a comment, in a file that was used as an example."""
    nothing = dict.fromkeys(TOP_LEVEL - {"local_artifact_storage", "instance_class"})
    below = {
        "run_monitoring": {"max_runtime_seconds": None},
        "concurrency": {"pools": {"default_limit": None, "granularity": "op"}, "runs": None},
        "secrets": {"custom": {"module": "mine", "class": "Loader", "config": {"path": None}}},
        "run_coordinator": {**QUEUE, "config": {"max_concurrent_runs": None}},
    }
    assert accepted(saying(nothing | below)).instance.dagster_yaml == {
        "run_monitoring": {},
        "concurrency": {"pools": {"granularity": "op"}},
        "secrets": below["secrets"],
        "run_coordinator": {**QUEUE, "config": {}},
    }


def test_logs_are_said_once() -> None:
    logs = EVERYTHING["compute_logs"]
    found = problem(saying({"compute_logs": logs}, computeLogsBucket="create"))
    assert found.allowed == "computeLogsBucket, or compute_logs in dagsterYaml"


def test_a_file_beside_the_stacks_config(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(EVERYTHING))
    config = accepted(saying("dagster.yaml"), directory=tmp_path)
    assert config.instance.dagster_yaml == EVERYTHING


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        (None, "No such file or directory"),
        ("a: [", "while parsing"),
        ("- a", "a mapping, or the path of a file with one"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, text: str | None, allowed: str) -> None:
    if text is not None:
        (tmp_path / "dagster.yaml").write_text(text)
    # Whether the file has the storage nobody knows.
    config = saying("dagster.yaml", databaseUrlSecretArn=None)
    found = problem(config, directory=tmp_path)
    assert found.key == "run-isolation:instance.dagsterYaml"
    assert allowed in found.allowed


def test_what_has_no_place_in_json_is_told_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text(
        "auto_materialize:\n  run_tags: {since: 2026-01-01, 1: a}"
    )
    found = problems(saying("dagster.yaml"), directory=tmp_path)
    place = "run-isolation:instance.dagsterYaml.auto_materialize.run_tags"
    assert [(one.key, one.value) for one in found] == [
        (f"{place}.since", "2026-01-01"),
        (place, "1"),
    ]


def test_a_secret_config_is_not_shown() -> None:
    content = {"telemetry": {"enabled": "hunter2"}}
    found = problem(saying(content), secret="run-isolation:instance")
    assert found.value == "(secret)"


@pytest.mark.parametrize(
    ("postgres", "key"),
    [
        ({"postgres_url": "postgresql://me:hunter2@db/dagster"}, "postgres_url"),
        ({"postgres_db": {"username": "me", "password": "hunter2"}}, "postgres_db.password"),
    ],
)
def test_a_password_is_told_to_go_into_a_secret(postgres: dict[str, Any], key: str) -> None:
    config = saying({"storage": {"postgres": postgres}}, databaseUrlSecretArn=None)
    found = problem(config)
    assert found.key == f"run-isolation:instance.dagsterYaml.storage.postgres.{key}"
    assert found.value == "(secret)"
    assert "instance.secrets" in found.allowed


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({"access_key_id": "root", "secret_access_key": "hunter2"}, "secret_access_key"),
        ({"secret_credential": {"client_secret": "hunter2"}}, "secret_credential.client_secret"),
        ({"access_key_or_sas_token": "hunter2"}, "access_key_or_sas_token"),
    ],
)
def test_what_other_clouds_call_a_password_is_one(config: dict[str, Any], key: str) -> None:
    logs = {"module": "m", "class": "C", "config": config}
    found = problem(saying({"compute_logs": logs}))
    assert found.key == f"run-isolation:instance.dagsterYaml.compute_logs.config.{key}"
    assert found.value == "(secret)"


def test_what_a_secret_config_says_twice_is_not_shown() -> None:
    config = saying({"run_queue": {"max_concurrent_runs": 41}})
    config["run-isolation:deploymentSettings"] = {"run_queue": {"max_concurrent_runs": 42}}
    found = problem(config, secret="run-isolation:deploymentSettings")
    assert (found.value, found.nearest) == ("(secret)", None)
    assert "41" not in str(found)


def test_all_mistakes_are_told_at_once() -> None:
    wrong = {**saying({"telemetry": {"enabled": 1}, "nux": 1}), "run-isolation:protect": "yes"}
    assert {one.key.removeprefix("run-isolation:") for one in problems(wrong)} == {
        *("instance.dagsterYaml.telemetry.enabled", "instance.dagsterYaml.nux", "protect"),
    }
