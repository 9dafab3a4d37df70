"""``instance.dagsterYaml``: what a ``dagster.yaml`` says, checked before anything reads it.

The schema is Dagster's own (``dagster_instance_config_schema``, dagster/_core/instance/config.py,
and ``QueuedRunCoordinator.config_type``): all keys of 1.9 to 1.13. What a class takes as its
``config`` is checked by the class, as an actor starts.
"""

from typing import Annotated, Any, ClassVar, Final

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from infra.config.base import LOCAL_ACCOUNT, around
from infra.config.deployment_settings import (
    AutoMaterialize,
    Concurrency,
    RunLimits,
    RunMonitoring,
    RunRetries,
    Setting,
)
from infra.config.fields import refused
from run_isolation.default_instance import COORDINATOR, LAUNCHER

SPLIT_STORAGES: Final = ("run_storage", "event_log_storage", "schedule_storage")
"""What Dagster takes in place of ``storage``, all three or none."""
QUEUE: Final = "QueuedRunCoordinator"
LOCAL_LOGS: Final = "LocalComputeLogManager"


def _source(kind: type, words: str) -> AfterValidator:
    """A check that a value is of a kind, or names an environment variable that is."""

    def check(value: Any) -> Any:
        if not is_reference(value) and type(value) is not kind:
            raise refused(f"{words}, or {{env: NAME}}")
        return value

    return AfterValidator(check)


def is_reference(value: object) -> bool:
    """Whether Dagster reads this value from an environment variable."""
    return isinstance(value, dict) and value.keys() == {"env"} and isinstance(value.get("env"), str)


IntSource = Annotated[Any, _source(int, "a whole number, without quotes")]
BoolSource = Annotated[Any, _source(bool, "true or false, without quotes")]


class Class(Setting):
    """A class, and what it is made with."""

    module: str
    class_: str = Field(alias="class")
    config: dict[str, Any] = Field(default_factory=dict)


class BlockedRuns(Setting):
    """What a queue does with runs whose steps wait for pools."""

    enabled: bool | None = None
    op_concurrency_slot_buffer: int | None = None


class Queue(RunLimits):
    """How runs are taken from the queue."""

    max_concurrent_runs: IntSource = None
    dequeue_interval_seconds: IntSource = None
    dequeue_use_threads: bool | None = None
    dequeue_num_workers: IntSource = None
    max_user_code_failure_retries: IntSource = None
    user_code_failure_retry_delay: IntSource = None
    block_op_concurrency_limited_runs: BlockedRuns | None = None


class Coordinator(Setting):
    """The coordinator; ours has the config of Dagster's."""

    module: str
    class_: str = Field(alias="class")
    config: Queue = Queue()

    @field_validator("class_")
    @classmethod
    def _has_a_queue(cls, name: str, info: ValidationInfo) -> str:
        module = info.data.get("module", "")
        dagsters = name == QUEUE and module.split(".")[0] == "dagster"
        if dagsters or {"module": module, "class": name} == COORDINATOR:
            return name
        raise refused(
            f"Dagster's {QUEUE}: isolated runs wait in its queue, and run-isolation's own "
            "coordinator, which decides how a run is executed, takes its config. Take "
            "run_coordinator out; what the queue is told goes under run_queue"
        )


class OpenConcurrency(Concurrency):
    """Limits, with the key that pools had before."""

    default_op_concurrency_limit: int | None = None


class OpenRunMonitoring(RunMonitoring):
    """With what Dagster+ does not let one say."""

    enabled: bool | None = None
    max_resume_run_attempts: int | None = None
    poll_interval_seconds: int | None = None
    cancellation_thread_poll_interval_seconds: int | None = None


class OpenRunRetries(RunRetries):
    """With what Dagster+ does not let one say."""

    enabled: bool | None = None


class OpenAutoMaterialize(AutoMaterialize):
    """With what Dagster+ does not let one say."""

    enabled: BoolSource = None
    minimum_interval_seconds: IntSource = None
    run_tags: dict[str, Any] | None = None
    respect_materialization_data_versions: BoolSource = None
    max_tick_retries: IntSource = None
    use_sensors: BoolSource = None
    use_threads: bool | None = None
    num_workers: int | None = None


class Enabled(Setting):
    """Something that is on or off."""

    enabled: bool | None = None


class Threads(Setting):
    """How many threads a part of the daemon has."""

    use_threads: bool | None = None
    num_workers: int | None = None
    num_submit_workers: int | None = None


class HandlerConfig(Setting):
    """What Dagster's handler of managed loggers is made of."""

    handlers: dict[str, Any] | None = None
    formatters: dict[str, Any] | None = None
    filters: dict[str, Any] | None = None


class PythonLogs(Setting):
    """What Python's loggers tell Dagster."""

    managed_python_loggers: list[str] | None = None
    python_log_level: str | None = None
    dagster_handler_config: HandlerConfig | None = None


class Purge(Setting):
    """When ticks are forgotten."""

    purge_after_days: Any

    @field_validator("purge_after_days")
    @classmethod
    def _days(cls, days: Any) -> Any:
        statuses = ("skipped", "success", "failure", "started")
        by_status = isinstance(days, dict) and all(
            key in statuses and type(one) is int for key, one in days.items()
        )
        if not by_status and type(days) is not int:
            raise refused(f"days as a whole number, or such numbers by {', '.join(statuses)}")
        return days


class Retention(Setting):
    """How long ticks are kept."""

    schedule: Purge | None = None
    sensor: Purge | None = None
    auto_materialize: Purge | None = None


class CodeServers(Setting):
    """Code servers that Dagster itself starts."""

    local_startup_timeout: int | None = None
    reload_timeout: int | None = None
    wait_for_local_processes_on_shutdown: bool | None = None


class Storage(Setting):
    """Where Dagster stores: one of these."""

    postgres: dict[str, Any] | None = None
    mysql: dict[str, Any] | None = None
    sqlite: dict[str, Any] | None = None
    custom: Class | None = None


class SecretsLoader(Setting):
    """Where Dagster itself finds secrets."""

    custom: Class


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
        if storage.sqlite is not None and around(info).account != LOCAL_ACCOUNT:
            raise refused(
                f"postgres, mysql or custom; sqlite only in the local account {LOCAL_ACCOUNT}: "
                "tasks on AWS share no disk",
                "postgres",
                value="sqlite",
            )
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
