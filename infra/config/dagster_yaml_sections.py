"""What stands under the keys of a ``dagster.yaml``, as ``infra/config/dagster_yaml.py`` takes it.

The schema is Dagster's own (``dagster_instance_config_schema``, dagster/_core/instance/config.py,
and ``QueuedRunCoordinator.config_type``), of 1.9 to 1.13.
"""

from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from infra.config.deployment_settings import (
    MOST_IN_POOL,
    AutoMaterialize,
    Concurrency,
    RunLimits,
    RunMonitoring,
    RunRetries,
    Setting,
)
from infra.config.fields import refused
from run_isolation.default_instance import COORDINATOR
from run_isolation.variables import is_reference

QUEUE: Final = "QueuedRunCoordinator"


def _source(kind: type, words: str) -> AfterValidator:
    """A check that a value is of a kind, or names an environment variable that is."""

    def check(value: Any) -> Any:
        if not is_reference(value) and type(value) is not kind:
            raise refused(f"{words}, or {{env: NAME}}")
        return value

    return AfterValidator(check)


def _no_source(value: Any) -> Any:
    """Refuses what Dagster's schema takes and nobody looks up: the mapping would count as true."""
    if is_reference(value):
        raise refused("the value itself: Dagster looks up no environment variable here")
    return value


IntSource = Annotated[Any, _source(int, "a whole number, without quotes")]
Unreferred = BeforeValidator(_no_source)


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

    default_op_concurrency_limit: int | None = Field(None, ge=0, le=MOST_IN_POOL)


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

    enabled: Annotated[bool | None, Unreferred] = None
    minimum_interval_seconds: Annotated[int | None, Unreferred] = None
    run_tags: dict[str, Any] | None = None
    respect_materialization_data_versions: Annotated[bool | None, Unreferred] = None
    max_tick_retries: Annotated[int | None, Unreferred] = None
    use_sensors: Annotated[bool | None, Unreferred] = None
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
