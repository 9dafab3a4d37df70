"""Brings a process to where a run is fast: imports and first uses of what each run needs.

Found by comparing ``sys.modules`` before and after a run in a process that was warm.
"""

from __future__ import annotations

import gc
import importlib
import logging
import os
from contextlib import suppress
from importlib.util import find_spec
from typing import Final

from dagster import DagsterInstance, job, op

from run_isolation.dagster.home import DATABASE_URL

_MODULES: Final = (
    "dagster._core.executor.child_process_executor",
    "dagster._core.executor.multiprocess",
    "dagster._core.launcher.default_run_launcher",
    "dagster._core.run_coordinator.queued_run_coordinator",
    "dagster._core.storage.event_log.sqlite.sqlite_event_log",
    "dagster._core.storage.local_compute_log_manager",
    "dagster._core.storage.noop_compute_log_manager",
    "dagster._core.storage.runs.sqlite.sqlite_run_storage",
    "dagster._core.storage.schedules.sqlite.sqlite_schedule_storage",
    "dagster._core.storage.legacy_storage",
    "dagster._core.storage.sqlite_storage",
    # Of the default I/O manager.
    "fsspec.implementations.local",
    "upath.implementations.local",
    "run_isolation.dagster.coordinator",
    "run_isolation.dagster.launcher",
)
_POSTGRES: Final = (
    "dagster_postgres.event_log",
    "dagster_postgres.run_storage",
    "dagster_postgres.schedule_storage",
    "dagster_postgres.storage",
    "psycopg2",
    "sqlalchemy.dialects.postgresql.psycopg2",
)


@op(name="run_isolation_warming")
def _nothing() -> None:
    """Does nothing."""


@job(name="run_isolation_warming_job")
def _trivial() -> None:
    _nothing()


def import_modules() -> None:
    """Imports what a run's process would import."""
    for name in (*_MODULES, *(_POSTGRES if _uses_postgres() else ())):
        with suppress(ImportError):
            importlib.import_module(name)


def exercise() -> None:
    """Executes a job in this process, on an instance of its own that is gone afterwards."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # a job that is not the user's has no place in the log
    try:
        with DagsterInstance.ephemeral() as instance:
            _trivial.execute_in_process(instance=instance)
    finally:
        logging.disable(level)


def settle_memory() -> None:
    """Keeps the garbage collector off what is there, so that forks go on sharing it."""
    gc.collect()
    gc.freeze()


def _uses_postgres() -> bool:
    return DATABASE_URL in os.environ and find_spec("dagster_postgres") is not None
