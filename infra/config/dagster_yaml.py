"""``instance.dagsterYaml``: what a ``dagster.yaml`` says, checked before anything reads it.

The schema is Dagster's own (``dagster_instance_config_schema``, dagster/_core/instance/config.py):
all keys of 1.9 to 1.13. What a class takes as its ``config`` is checked by the class, as an actor
starts.
"""

import re
from typing import ClassVar, Final

from pydantic import Field, ValidationInfo, field_validator

from infra.config.base import LOCAL_ACCOUNT, around
from infra.config.dagster_yaml_sections import (
    Class,
    CodeServers,
    Coordinator,
    Enabled,
    OpenAutoMaterialize,
    OpenConcurrency,
    OpenRunMonitoring,
    OpenRunRetries,
    PythonLogs,
    Queue,
    Retention,
    SecretsLoader,
    Storage,
    Threads,
)
from infra.config.deployment_settings import Setting
from infra.config.fields import refused
from run_isolation.default_instance import LAUNCHER

SPLIT_STORAGES: Final = ("run_storage", "event_log_storage", "schedule_storage")
"""What Dagster takes in place of ``storage``, all three or none."""
LOCAL_LOGS: Final = "LocalComputeLogManager"
_OF_ONE_CONTAINER: Final = re.compile("Sqlite|InMemory")
"""In the names of Dagster's own classes (dagster/_core/storage)."""


def _only_locally(storage: str, info: ValidationInfo) -> None:
    if around(info).account != LOCAL_ACCOUNT:
        raise refused(
            f"a storage on Postgres, MySQL or of your own; {storage} only in the local account "
            f"{LOCAL_ACCOUNT}: tasks on AWS share no disk",
            "postgres",
            value=storage,
        )


class DagsterYaml(Setting):
    """All of it."""

    refused_keys: ClassVar = {
        "instance_class": "absent: run-isolation's actors use Dagster's own instance",
        "local_artifact_storage": "absent: a directory is one container's, and gone with it. "
        "`instance.io: create` keeps outputs on S3",
    }

    storage: Storage | None = None
    run_storage: Class | None = None
    event_log_storage: Class | None = None
    schedule_storage: Class | None = Field(None, validate_default=True)
    compute_logs: Class | None = None
    run_queue: Queue | None = None
    run_coordinator: Coordinator | None = None
    run_launcher: Class | None = None
    scheduler: Class | None = None
    telemetry: Enabled | None = None
    nux: Enabled | None = None
    python_logs: PythonLogs | None = None
    run_monitoring: OpenRunMonitoring | None = None
    run_retries: OpenRunRetries | None = None
    code_servers: CodeServers | None = None
    secrets: SecretsLoader | None = None
    defs_state_storage: Class | None = None
    retention: Retention | None = None
    backfills: Threads | None = None
    sensors: Threads | None = None
    schedules: Threads | None = None
    auto_materialize: OpenAutoMaterialize | None = None
    freshness: Enabled | None = None
    concurrency: OpenConcurrency | None = None

    @field_validator("storage")
    @classmethod
    def _one_that_all_reach(cls, storage: Storage, info: ValidationInfo) -> Storage:
        said = sorted(storage.model_fields_set)
        if len(said) != 1:
            given = " and ".join(said) or "none of them"
            raise refused("exactly one of postgres, mysql, custom", value=given)
        if storage.sqlite is not None:
            _only_locally("sqlite", info)
        if storage.custom is not None and _OF_ONE_CONTAINER.search(storage.custom.class_):
            _only_locally(storage.custom.class_, info)
        return storage

    @field_validator(*SPLIT_STORAGES)
    @classmethod
    def _on_no_disk(cls, storage: Class | None, info: ValidationInfo) -> Class | None:
        if storage is not None and _OF_ONE_CONTAINER.search(storage.class_):
            _only_locally(storage.class_, info)
        return storage

    @field_validator("schedule_storage")
    @classmethod
    def _all_or_none(cls, last: Class | None, info: ValidationInfo) -> Class | None:
        given = [one for one in SPLIT_STORAGES[:2] if info.data.get(one) is not None]
        given += [SPLIT_STORAGES[2]] if last is not None else []
        broken = any(one not in info.data for one in SPLIT_STORAGES[:2])
        if given and not broken and len(given) < len(SPLIT_STORAGES):
            raise refused(
                f"{', '.join(SPLIT_STORAGES)} together, or storage: what is missing would be on a "
                "disk of each container's own",
                "storage",
                value=" and ".join(given),
                of_parent=True,
            )
        return last

    @field_validator("compute_logs")
    @classmethod
    def _readable_elsewhere(cls, logs: Class, info: ValidationInfo) -> Class:
        if logs.class_ == LOCAL_LOGS and around(info).account != LOCAL_ACCOUNT:
            raise refused(
                "a class whose logs outlive a container and are read in another one: the page "
                "shows them. `instance.computeLogsBucket: create` has one on S3",
                value=logs.class_,
            )
        return logs

    @field_validator("run_coordinator")
    @classmethod
    def _one_queue(cls, own: Coordinator, info: ValidationInfo) -> Coordinator:
        if info.data.get("run_queue") is not None:
            raise refused("run_queue or run_coordinator, not both", "run_queue", value=own.class_)
        return own

    @field_validator("run_launcher")
    @classmethod
    def _ours(cls, launcher: Class) -> Class:
        if launcher.model_dump(by_alias=True, exclude={"config"}) != LAUNCHER:
            raise refused(
                "absent: run-isolation's own launcher starts the runs. What EcsRunLauncher is "
                "told goes into the stack's config: docs/migrating-from-ecs-run-launcher.md",
                value=launcher.class_,
            )
        return launcher

    @field_validator("scheduler")
    @classmethod
    def _in_the_daemon(cls, scheduler: Class) -> Class:
        if scheduler.class_ != "DagsterDaemonScheduler":
            raise refused(
                "absent, or DagsterDaemonScheduler: the daemon runs the schedules",
                "DagsterDaemonScheduler",
                value=scheduler.class_,
            )
        return scheduler
