"""Imports what each run needs, in the template.

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

from run_isolation.dagster.home import DATABASE_URL
from run_isolation.dagster.warm import linux

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


def share_memory() -> None:
    """Before a fork: keeps the garbage collectors of both processes off what they share."""
    gc.freeze()


def warm_up() -> None:
    """Imports what a run's process would import.

    Raises:
        RuntimeError: That has started a thread, so this process must not fork.
    """
    # Each run collects its own garbage (child.py); here it would only make holes in shared pages.
    gc.disable()
    for name in (*_MODULES, *(_POSTGRES if _uses_postgres() else ())):
        with suppress(ImportError):
            importlib.import_module(name)
    share_memory()
    if len(linux.threads()) > 1:
        raise RuntimeError("Warming up has started a thread. Please report this.")


def _uses_postgres() -> bool:
    return DATABASE_URL in os.environ and find_spec("dagster_postgres") is not None
