"""Imports what each run needs, before the template is forked, so that the server shares it.

Runs in: server, before it forks the template.

The modules were found by listing what runs still imported (``python -m bench.warm_start.profile``).

Nothing is executed in advance: a job of nothing, executed here, made RUN_START a fifth faster, and
took 18 MiB for as long as the container lives, since Python writes a reference count to each object
that it uses, and the server and the template then no longer share its page.
"""

from __future__ import annotations

import gc
import importlib
import os
from contextlib import suppress
from importlib.util import find_spec
from typing import Final

from dagster._core.instance.ref import InstanceRef
from dagster._serdes import ConfigurableClassData

from run_isolation import outputs
from run_isolation.dagster.warm import libraries
from run_isolation.default_instance import COMPUTE_LOGS_BUCKET
from run_isolation.quick_imports import quick_imports

_MODULES: Final = (
    "dagster._core.executor.child_process_executor",
    "dagster._core.executor.in_process",
    "dagster._core.executor.multiprocess",
    "dagster._core.launcher.default_run_launcher",
    "dagster._core.run_coordinator.queued_run_coordinator",
    "dagster._core.storage.event_log.sqlite.sqlite_event_log",
    "dagster._core.storage.legacy_storage",
    "dagster._core.storage.local_compute_log_manager",
    "dagster._core.storage.noop_compute_log_manager",
    "dagster._core.storage.runs.sqlite.sqlite_run_storage",
    "dagster._core.storage.schedules.sqlite.sqlite_schedule_storage",
    "dagster._core.storage.sqlite_storage",
    "dagster._core.system_config.composite_descent",
    # Of the default I/O manager.
    "fsspec.implementations.local",
    "upath.implementations.local",
    "run_isolation.dagster.container_storage",
    "run_isolation.dagster.coordinator",
    "run_isolation.dagster.launcher",
)
_POSTGRES: Final = (
    "dagster_postgres.event_log",
    "dagster_postgres.run_storage",
    "dagster_postgres.schedule_storage",
    "dagster_postgres.storage",
    "psycopg2",
    "run_isolation.dagster.postgres",
    "sqlalchemy.dialects.postgresql.psycopg2",
)
_TOKENS: Final = ("boto3.session", "botocore.auth", "botocore.awsrequest")
_S3: Final = ("dagster_aws.s3.compute_log_manager",)
_OUTPUTS: Final = (outputs.IO_MANAGER, "boto3.s3.transfer", "upath")


class ThreadError(Exception):
    """What was imported has started a thread, so this process must not be forked."""


def warm_up() -> None:
    """Imports what a run's process would import, and readies the memory for being shared.

    Raises:
        ThreadError: It must not be.
    """
    with quick_imports():
        for name in (*_MODULES, *_storage_modules()):
            with suppress(ImportError):
                importlib.import_module(name)
    if len(libraries.threads()) > 1:
        raise ThreadError("Importing what each run needs has started a thread. Please report this.")
    # The garbage collectors of both processes would write to every object.
    gc.freeze()


def _storage_modules() -> tuple[str, ...]:
    storage = _storage()
    named = f"{storage.module_name} {storage.config_yaml}" if storage else ""
    postgres = "postgres" in named and find_spec("dagster_postgres") is not None
    tokens = postgres and storage is not None and storage.config_dict.get("iam")
    s3 = COMPUTE_LOGS_BUCKET in os.environ and find_spec("dagster_aws") is not None
    return (
        *(_POSTGRES if postgres else ()),
        *(_TOKENS if tokens else ()),
        *(_S3 if s3 else ()),
        *(_OUTPUTS if outputs.are_kept() else ()),
    )


def _storage() -> ConfigurableClassData | None:
    """Of the instance of this container; where it has none runs have that of whoever calls."""
    home = os.environ.get("DAGSTER_HOME")
    return InstanceRef.from_dir(home).storage_data if home else None
