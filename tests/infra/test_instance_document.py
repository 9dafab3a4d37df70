"""The deployment's one Dagster instance: defaults, the user's file, the settings."""

import json
from typing import Any

import pytest
import yaml
from dagster._core.instance.config import dagster_instance_config

from infra import instance_document
from infra.deployment import PROJECT
from run_isolation import default_instance
from run_isolation.instance import Instance
from tests.infra.config.test_deployment_settings import DOCUMENTED
from tests.infra.program import DATABASE, REGION, TOKEN, changed, default, deployment, run

QUEUE = {"dequeue_interval_seconds": 1}


def document(
    instance: dict[str, Any] | None = None,
    settings: dict[str, Any] | None = None,
    *,
    account: str = "123456789012",
) -> Instance:
    """The document with this config of the instance."""
    own = {"databaseUrlSecretArn": DATABASE, **(instance or {})}
    own = {key: value for key, value in own.items() if value is not None}
    config = changed(instance=own, deploymentSettings=settings or {})
    return instance_document.render(deployment(config, account=account))


def rendered(content: dict[str, Any], settings: dict[str, Any] | None = None) -> dict[str, Any]:
    return document({"dagsterYaml": content}, settings).dagster_yaml


def test_defaults() -> None:
    made = document()
    assert made.dagster_yaml == default_instance.default_dagster_yaml(
        default_instance.postgres(secret_arn=DATABASE), default_instance.no_logs()
    )
    assert made.env == {
        "DAGSTER_CLOUD_DEPLOYMENT_NAME": "prod",
        "DAGSTER_CLOUD_IS_BRANCH_DEPLOYMENT": "0",
    }
    assert made.secrets == {}
    assert made.sensor_timeout_seconds is made.schedule_timeout_seconds is None


def test_the_published_item_is_the_document_and_the_manifest_names_it() -> None:
    item = json.loads(default().inputs("dynamodb/tableItem", "instance")["item"])
    made = instance_document.render(deployment())
    assert item == made.to_item()
    assert json.loads(default().outputs["manifest"])["instance_version"] == made.version


def test_a_version_is_kept_where_the_next_one_is_another_item() -> None:
    request = default().one("dynamodb/tableItem", "instance").request
    assert request.retainOnDelete
    assert list(request.replaceOnChanges) == ["item"]
    assert list(request.hooks.before_create) == ["remove-leftover-item"]


@pytest.mark.parametrize("kind", ["ssm/parameter", "ecs/service"])
def test_nothing_names_a_version_before_it_is_there(kind: str) -> None:
    for one in default().of(kind):
        assert any("TableItem::instance" in urn for urn in one.request.dependencies)


def test_settings_go_over_the_file_and_the_file_over_the_defaults() -> None:
    made = rendered(
        {
            "run_monitoring": {"start_timeout_seconds": 60, "poll_interval_seconds": 5},
            "run_retries": {"max_retries": 2},
            "sensors": {"use_threads": False},
            "schedules": {"num_submit_workers": 8},
        },
        {"run_monitoring": {"max_runtime_seconds": 7200}},
    )
    assert made["run_monitoring"] == {
        "enabled": True,
        "start_timeout_seconds": 60,
        "cancel_timeout_seconds": 300,
        "poll_interval_seconds": 5,
        "free_slots_after_run_end_seconds": 300,
        "max_runtime_seconds": 7200,
    }
    assert made["run_retries"] == {"enabled": True, "max_retries": 2}
    assert made["sensors"] == {"use_threads": False, "num_workers": 4}
    assert made["schedules"] == {"use_threads": True, "num_workers": 4, "num_submit_workers": 8}


@pytest.mark.parametrize(
    "content",
    [
        {"run_queue": {"max_concurrent_runs": 5}},
        {
            "run_coordinator": {
                "module": "dagster",
                "class": "QueuedRunCoordinator",
                "config": {"max_concurrent_runs": 5},
            }
        },
    ],
)
def test_our_coordinator_takes_what_the_queue_is_told(content: dict[str, Any]) -> None:
    made = rendered(content, {"run_queue": {"tag_concurrency_limits": []}})
    assert "run_queue" not in made
    assert made["run_coordinator"] == {
        **default_instance.COORDINATOR,
        "config": {**QUEUE, "max_concurrent_runs": 5, "tag_concurrency_limits": []},
    }
    assert made["run_launcher"] == default_instance.LAUNCHER


def test_ones_own_classes_are_replaced_as_a_whole() -> None:
    logs = {"module": "mine", "class": "Logs", "config": {"prefix": "p"}}
    storage = {"postgres": {"postgres_url": {"env": "URL"}}}
    made = document(
        {
            "databaseUrlSecretArn": None,
            "secrets": {"URL": TOKEN},
            "dagsterYaml": {"compute_logs": logs, "storage": storage},
        }
    )
    assert made.dagster_yaml["compute_logs"] == logs
    assert made.dagster_yaml["storage"] == storage
    assert made.secrets == {"URL": TOKEN}


def test_split_storages_leave_no_room_for_another() -> None:
    one = {"module": "m", "class": "C"}
    split = {"run_storage": one, "event_log_storage": one, "schedule_storage": one}
    made = document({"databaseUrlSecretArn": None, "dagsterYaml": split}).dagster_yaml
    assert "storage" not in made
    assert made.items() >= split.items()


def test_the_old_name_of_a_pools_limit_does_not_stand_beside_the_new_ones() -> None:
    old = {"concurrency": {"default_op_concurrency_limit": 2}}
    assert rendered(old)["concurrency"] == old["concurrency"]
    made = rendered(old, {"concurrency": {"pools": {"granularity": "run"}}})
    assert made["concurrency"] == {"pools": {"granularity": "run", "default_limit": 2}}


def test_ticks() -> None:
    made = document(settings={"default_sensor_timeout": 100, "default_schedule_timeout": 200})
    assert (made.sensor_timeout_seconds, made.schedule_timeout_seconds) == (100, 200)


@pytest.mark.parametrize(
    ("database", "config"),
    [
        ({"secretArn": DATABASE}, {"secret_arn": DATABASE}),
        (
            {"secretArn": DATABASE, "keys": {"host": "hostname"}, "sslMode": "require"},
            {"secret_arn": DATABASE, "keys": {"host": "hostname"}, "ssl_mode": "require"},
        ),
        (
            {
                **{"host": "db", "port": 5433, "name": "dagster", "user": "me"},
                **{"iamAuthentication": True, "sslMode": "verify-full", "sslRootCert": "/rds.pem"},
            },
            {
                **{"host": "db", "port": 5433, "name": "dagster", "user": "me", "iam": True},
                **{"region": REGION, "ssl_mode": "verify-full", "ssl_root_cert": "/rds.pem"},
            },
        ),
    ],
)
def test_database(database: dict[str, Any], config: dict[str, Any]) -> None:
    made = document({"databaseUrlSecretArn": None, "database": database}).dagster_yaml
    assert made["storage"] == default_instance.postgres(**config)


def test_compute_logs_in_a_bucket() -> None:
    made = document({"computeLogsBucket": "create"}).dagster_yaml
    bucket = "run-isolation-prod-compute-logs-123456789012"
    assert made["compute_logs"] == default_instance.s3_logs(bucket, "prod", REGION)


@pytest.mark.parametrize(
    ("directory", "expected"),
    [(".local/dagster", str(PROJECT / ".local/dagster")), ("/srv/dagster", "/srv/dagster")],
)
def test_sqlite_starts_at_the_checkout(directory: str, expected: str) -> None:
    made = document(
        {"databaseUrlSecretArn": None, "sqliteDirectory": directory}, account="000000000000"
    ).dagster_yaml
    assert made["storage"] == default_instance.sqlite(expected)
    assert made["compute_logs"] == default_instance.local_logs(expected)


def test_the_users_own_value_goes_before_what_dagster_plus_would_set() -> None:
    own = {"env": {"DAGSTER_CLOUD_DEPLOYMENT_NAME": "production"}}
    assert document(own).env["DAGSTER_CLOUD_DEPLOYMENT_NAME"] == "production"
    hidden = {"secrets": {"DAGSTER_CLOUD_DEPLOYMENT_NAME": TOKEN}}
    assert "DAGSTER_CLOUD_DEPLOYMENT_NAME" not in document(hidden).env


def test_a_setting_of_slots_is_no_new_version() -> None:
    runs = {"non_isolated_runs": {"enabled": True}}
    assert document(settings=runs).version == document().version


def test_dagster_takes_what_the_documented_settings_come_to(tmp_path: Any) -> None:
    made = document(settings=DOCUMENTED).dagster_yaml
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(made))
    taken, _ = dagster_instance_config(str(tmp_path))
    assert taken["concurrency"]["runs"]["max_concurrent_runs"] == 10


def test_a_compute_logs_bucket_in_the_file_gets_the_rights_and_the_variable() -> None:
    logs = {
        "module": "dagster_aws.s3",
        "class": "S3ComputeLogManager",
        "config": {"bucket": {"env": "LOGS"}, "prefix": "mine"},
    }
    instance = {
        "databaseUrlSecretArn": DATABASE,
        "env": {"LOGS": "my-logs"},
        "dagsterYaml": {"compute_logs": logs},
    }
    program = run(changed(instance=instance))
    policy = program.inputs("iam/rolePolicy", "sales-isolated")["policy"]
    assert "arn:aws:s3:::my-logs/*" in policy
    assert program.outputs["computeLogsBucket"] == "my-logs"
