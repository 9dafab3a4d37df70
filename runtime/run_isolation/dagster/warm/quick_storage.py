"""Opens Dagster's storage with fewer questions: each process would ask anew what all know by now.

Runs in: server; run and step, for which the template installs it.

With Postgres, Dagster 1.13.27 connects six times for each instance that it opens, to look for
tables that it might have to create, and reads ten times in a small run which columns a table has.
Each costs milliseconds, four times as many at 0.25 vCPU, and more with TLS.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Final
from weakref import WeakSet

import sqlalchemy
from alembic.config import Config
from dagster import DagsterInstance
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.event_log.schema import AssetKeyTable, SqlEventLogStorageMetadata
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.runs.schema import RunsTable, RunStorageSqlMetadata
from dagster._core.storage.runs.sqlite import sqlite_run_storage
from dagster._core.storage.schedules.sqlite import sqlite_schedule_storage
from dagster._core.storage.sql import AlembicVersion, check_alembic_revision
from dagster._serdes import ConfigurableClassData
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import OperationalError

from run_isolation.dagster.patching import replaced
from run_isolation.default_instance import POSTGRES

CONNECTION_SECONDS: Final = 5
"""How old a connection may be to be used once more: for the burst of events of a step, but not one
that a proxy or a firewall may have dropped in the meantime."""

_TABLES: Final = [*RunStorageSqlMetadata.tables, *SqlEventLogStorageMetadata.tables]
_SCHEMA: Final = sqlalchemy.text(
    "SELECT relname, attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid "
    "WHERE relname = ANY(:tables) AND pg_table_is_visible(attrelid) AND NOT attisdropped"
)

_POSTGRES: Final = ("DagsterPostgresStorage", POSTGRES["class"])
"""Dagster's own and ours, which is made of it."""

_open: Final = DagsterInstance.from_ref
_pools: Final[WeakSet[Engine]] = WeakSet()


@contextmanager
def opened_by(way: Callable[[InstanceRef], DagsterInstance]) -> Iterator[None]:
    """Lets ``way`` stand for Dagster's ``DagsterInstance.from_ref``.

    Raises:
        SeamError: This version of Dagster is not built as we know it.
    """
    with ExitStack() as seams:
        seams.enter_context(replaced(DagsterInstance, "from_ref", staticmethod(way)))
        for module in (sqlite_run_storage, sqlite_event_log, sqlite_schedule_storage):
            seams.enter_context(replaced(module, "check_alembic_revision", revision))
        yield


def open_in_server(ref: InstanceRef) -> DagsterInstance:
    """Dagster's ``DagsterInstance.from_ref``, but that Postgres is asked once what tables it has.

    None is created. Who created the run, or has a sensor evaluated, has opened the storage before.
    """
    instance = _open(_without_creation(ref))
    if _on_postgres(ref):
        _answer_from(_Schema(instance.run_storage), instance)
    return instance


def open_in_run(ref: InstanceRef) -> DagsterInstance:
    """As ``open_in_server``, and connections are used more than once.

    Dagster opens one for each query and each event, but in its webserver, whose way this is. There
    it sets Postgres' ``statement_timeout`` as well; here that stays what the role, the database or
    the URL has.
    """
    instance = open_in_server(ref)
    instance.optimize_for_webserver(
        statement_timeout=_Default(), pool_recycle=CONNECTION_SECONDS, max_overflow=-1
    )
    runs: Any = instance.run_storage
    events: Any = instance.event_log_storage
    if _on_postgres(ref) and hasattr(runs, "_engine"):
        events._engine = runs._engine  # one database, so one pool of connections
        _pools.add(runs._engine)
    return instance


class _Default(int):
    """What Dagster writes behind ``SET statement_timeout =``: what it would be without that.

    https://www.postgresql.org/docs/current/sql-set.html
    """

    def __format__(self, _: str) -> str:
        return "DEFAULT"


def _leave_connections() -> None:
    """In a process that user code has forked: two must not talk over one connection."""
    for engine in _pools:
        engine.dispose(close=False)


os.register_at_fork(after_in_child=_leave_connections)


def revision(config: Config, connection: Connection) -> AlembicVersion:
    """The revision of a SQLite database, twice, where it has one.

    Dagster's own looks for the newest one, too, only to see that there is one: in 88 scripts for
    each of three databases, which takes most of the time that opening them takes.
    """
    try:
        known = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    except OperationalError:
        known = None  # no such table
    return (known, known) if known else check_alembic_revision(config, connection)


def _on_postgres(ref: InstanceRef) -> bool:
    return ref.storage_data is not None and ref.storage_data.class_name in _POSTGRES


def on_sqlite(ref: InstanceRef) -> bool:
    """Whether a storage of it is in files, in which whoever opens it first makes tables.

    Whole, or one for runs, one for events and one for schedules.
    """
    parts = (ref.run_storage_data, ref.event_storage_data, ref.schedule_storage_data)
    return any(one is not None and "Sqlite" in one.class_name for one in (ref.storage_data, *parts))


def _without_creation(ref: InstanceRef) -> InstanceRef:
    data = ref.storage_data
    if data is None or not _on_postgres(ref):
        return ref
    config = {**data.config_dict, "should_autocreate_tables": False}
    return ref._replace(storage_data=with_config(data, config))


def with_config(data: ConfigurableClassData, config: Mapping[str, Any]) -> ConfigurableClassData:
    """The same with another config: JSON is YAML, and written quicker."""
    return data._replace(config_yaml=json.dumps(config))


class _Schema:
    """What a Postgres database has of Dagster's tables and their columns.

    What a migration has added does not go: yes is yes for ever, no is asked again.
    """

    def __init__(self, storage: Any) -> None:
        self._storage = storage
        self._names: frozenset[str] = frozenset()

    def has(self, *names: str) -> bool:
        """Whether there are all of these: ``table`` or ``table.column``."""
        if not self._names.issuperset(names):
            self._names = frozenset(self._read())
        return self._names.issuperset(names)

    def _read(self) -> Iterator[str]:
        with self._storage.connect() as connection:
            for table, column in connection.execute(_SCHEMA, {"tables": _TABLES}):
                yield table
                yield f"{table}.{column}"


def _answer_from(schema: _Schema, instance: DagsterInstance) -> None:
    """Where Dagster has SQLAlchemy find out all about a table, to know whether it is migrated."""
    runs: Any = instance.run_storage
    events: Any = instance.event_log_storage
    times = [f"{RunsTable.name}.{column}" for column in ("start_time", "end_time")]
    runs.has_run_stats_index_cols = lambda: schema.has(*times)
    events.has_table = schema.has
    events._has_asset_key_col_on_connection = lambda _connection, column: schema.has(
        f"{AssetKeyTable.name}.{column}"
    )
