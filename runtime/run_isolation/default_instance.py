"""What the instance says where the user does not: values that suit small standing containers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, TypedDict, Unpack

from run_isolation.start_run_timers import START_TIMEOUT_SECONDS

DATABASE: Final = "RUN_ISOLATION_DATABASE"
"""Environment variable with the text of the database's secret, a URL or JSON. ECS sets it in tasks;
who has none reads the secret."""

COMPUTE_LOGS_BUCKET: Final = "RUN_ISOLATION_COMPUTE_LOGS_BUCKET"
"""Environment variable that tells a standing container of the bucket that runs will write to, so
that what they need for it is there before they begin. The manifest says the same, a call later."""

COORDINATOR: Final = {
    "module": "run_isolation.dagster.coordinator",
    "class": "RunIsolationCoordinator",
}
LAUNCHER: Final = {"module": "run_isolation.dagster.launcher", "class": "RunIsolationLauncher"}
POSTGRES: Final = {"module": "run_isolation.dagster.postgres", "class": "PostgresStorage"}
S3_LOGS: Final = "S3ComputeLogManager"
"""Class of compute logs in a bucket, of dagster-aws."""

CANCEL_TIMEOUT_SECONDS: Final = 300
"""How long a run may be CANCELING. ECS gives a task 120 s between SIGTERM and SIGKILL at most."""

POLL_INTERVAL_SECONDS: Final = 30
FREE_SLOTS_SECONDS: Final = 300
"""How long after a run's end Dagster frees the pool slots that it left behind."""

UPLOAD_INTERVAL_SECONDS: Final = 30
"""How often the output of a step that is going on is copied to the bucket."""

DEQUEUE_INTERVAL: Final = "dequeue_interval_seconds"
DEQUEUE_SECONDS: Final = 1
"""Between two looks at Dagster's queue, which each isolated run waits for. Dagster's default of 5 s
is a wait of 2.5 s on average (dagster/_core/run_coordinator/queued_run_coordinator.py)."""

TICK_WORKERS: Final = 4
"""How many sensors, and how many schedules, are evaluated at once. Dagster's default is one after
the other (``use_threads``, https://docs.dagster.io/guides/deploy/dagster-yaml): a tick that takes
all of ``tick_timeouts.TICK_SECONDS`` would keep those of every other code location waiting."""

Config = dict[str, Any]


def default_dagster_yaml(storage: Config, compute_logs: Config) -> Config:
    """``dagster.yaml`` where the user says nothing.

    Args:
        storage: What its key ``storage`` says.
        compute_logs: What its key ``compute_logs`` says; see ``s3_logs``, ``local_logs``.
    """
    return {
        "run_coordinator": COORDINATOR | {"config": {DEQUEUE_INTERVAL: DEQUEUE_SECONDS}},
        "run_launcher": dict(LAUNCHER),
        "storage": storage,
        "compute_logs": compute_logs,
        "run_monitoring": {
            "enabled": True,
            "start_timeout_seconds": START_TIMEOUT_SECONDS,
            "cancel_timeout_seconds": CANCEL_TIMEOUT_SECONDS,
            "poll_interval_seconds": POLL_INTERVAL_SECONDS,
            "free_slots_after_run_end_seconds": FREE_SLOTS_SECONDS,
        },
        # So that the tag dagster/max_retries counts. A run without it is not retried.
        "run_retries": {"enabled": True},
        "sensors": {"use_threads": True, "num_workers": TICK_WORKERS},
        "schedules": {"use_threads": True, "num_workers": TICK_WORKERS},
    }


class Keys(TypedDict, total=False):
    """How a secret in JSON calls its parts, where not as RDS's do.

    https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_secret_json_structure.html
    """

    user: str
    """``username``"""
    password: str
    """``password``"""
    host: str
    """``host``"""
    port: str
    """``port``"""
    name: str
    """``dbname``"""


class Database(TypedDict, total=False):
    """Where the Postgres of the instance is, and how one logs in. Nothing of it is secret.

    What is said here goes before what the secret says.
    """

    secret_arn: str
    """Of a secret, or an SSM parameter, with a URL or JSON. Needed where the variable DATABASE is
    not set, and where the password may change."""
    keys: Keys
    host: str
    port: int
    """Without one anywhere 5432."""
    name: str
    """Of the database."""
    user: str
    iam: bool
    """Whether each connection has a token of RDS's IAM authentication for its password."""
    region: str
    """Of the database, for tokens; without it AWS_REGION."""
    ssl_mode: str
    """https://www.postgresql.org/docs/current/libpq-ssl.html#LIBPQ-SSL-SSLMODE-STATEMENTS"""
    ssl_root_cert: str
    """Path in every container of a file with certificates of authorities."""


def postgres(**database: Unpack[Database]) -> Config:
    """Storage on Postgres."""
    return {"custom": POSTGRES | {"config": {**database}}}


def sqlite(directory: str) -> Config:
    """Storage in a directory that all actors see: on the local account only."""
    return {"sqlite": {"base_dir": directory}}


def local_logs(directory: str) -> Config:
    """Compute logs beside SQLite."""
    return {
        "module": "dagster._core.storage.local_compute_log_manager",
        "class": "LocalComputeLogManager",
        "config": {"base_dir": str(Path(directory) / "compute_logs")},
    }


def container_storage(directory: str) -> Config:
    """``local_artifact_storage`` of a container: where outputs are kept that stay in it.

    Args:
        directory: The container's own.
    """
    return {
        "module": "run_isolation.dagster.container_storage",
        "class": "ContainerStorage",
        "config": {"base_dir": directory},
    }


def s3_logs(bucket: str, prefix: str, region: str) -> Config:
    """Compute logs in a bucket."""
    return {
        "module": "dagster_aws.s3.compute_log_manager",
        "class": S3_LOGS,
        "config": {
            "bucket": bucket,
            "prefix": prefix,
            "region": region,
            "upload_interval": UPLOAD_INTERVAL_SECONDS,
        },
    }


def no_logs() -> Config:
    """Each task's own log stream only."""
    return {
        "module": "dagster._core.storage.noop_compute_log_manager",
        "class": "NoOpComputeLogManager",
    }
