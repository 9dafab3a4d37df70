"""Runs and the server find the storage that Dagster would, with fewer questions."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from alembic.script import ScriptDirectory
from dagster import DagsterInstance, DagsterRunStatus
from dagster._core.instance.ref import InstanceRef
from dagster._core.test_utils import create_run_for_test

from run_isolation.dagster.warm.quick_storage import open_in_run, open_in_server, opened_by
from run_isolation.default_instance import DATABASE, postgres
from tests.code_server.runs import new_home
from tests.e2e.storage import NO_POSTGRES, postgres_programs, server

EVENTS = 50
"""Of each process that writes."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    programs = postgres_programs()
    if programs is None:
        pytest.skip(NO_POSTGRES)
    with server(programs) as url:
        yield url


@pytest.fixture(scope="module", params=["Dagster's own", "ours"])
def ref(
    request: pytest.FixtureRequest, url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[InstanceRef]:
    """Of a home whose tables are there."""
    ours = request.param == "ours"
    storage = postgres(ssl_mode="disable") if ours else {"postgres": {"postgres_url": url}}
    ref = InstanceRef.from_dir(str(new_home(tmp_path_factory.mktemp("home"), storage)))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(DATABASE, url)
        with DagsterInstance.from_ref(ref):
            yield ref


@contextmanager
def watched() -> Iterator[tuple[list[Any], list[str]]]:
    """Connections that are made, and statements, meanwhile."""
    connections: list[Any] = []
    statements: list[str] = []

    def connected(connection: Any, _: Any) -> None:
        connections.append(connection)

    def executed(_: Any, __: Any, statement: str, *___: Any) -> None:
        statements.append(statement)

    sqlalchemy.event.listen(sqlalchemy.pool.Pool, "connect", connected)
    sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", executed)
    try:
        yield connections, statements
    finally:
        sqlalchemy.event.remove(sqlalchemy.pool.Pool, "connect", connected)
        sqlalchemy.event.remove(sqlalchemy.Engine, "before_cursor_execute", executed)


def test_opening_it_asks_nothing(ref: InstanceRef) -> None:
    with watched() as (connections, statements), open_in_server(ref):
        pass
    assert (connections, statements) == ([], [])


def test_a_run_has_one_connection_and_asks_for_the_schema_once(ref: InstanceRef) -> None:
    with DagsterInstance.from_ref(ref) as instance:
        run = create_run_for_test(instance, status=DagsterRunStatus.STARTED)
    with watched() as (connections, statements), open_in_run(ref) as instance:
        instance.report_run_failed(run)
        instance.report_engine_event("So it is.", run)
        assert instance.event_log_storage.can_read_asset_status_cache()
    assert len(connections) == 1
    assert len([one for one in statements if "pg_attribute" in one]) == 1


def test_what_is_written_is_what_dagster_writes(ref: InstanceRef) -> None:
    with open_in_run(ref) as ours:
        run = create_run_for_test(ours, status=DagsterRunStatus.STARTED)
        ours.report_run_failed(run)
    with DagsterInstance.from_ref(ref) as dagsters:
        record = dagsters.get_run_record_by_id(run.run_id)
        assert record is not None
        # In a column that only a migrated database has.
        assert record.end_time is not None
        assert record.dagster_run.status is DagsterRunStatus.FAILURE


def test_statements_have_the_time_that_the_database_gives_them(ref: InstanceRef, url: str) -> None:
    """As in Dagster's own process of a run: by role, database or URL."""
    engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("ALTER ROLE CURRENT_USER SET statement_timeout = 7000"))
        try:
            with open_in_run(ref) as instance:
                runs: Any = instance.run_storage
                with runs.connect() as opened:
                    shown = opened.execute(sqlalchemy.text("SHOW statement_timeout")).scalar()
        finally:
            connection.execute(sqlalchemy.text("ALTER ROLE CURRENT_USER RESET statement_timeout"))
    assert shown == "7s"


def test_a_database_that_is_migrated_meanwhile_is_noticed(url: str, tmp_path: Path) -> None:
    engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("CREATE DATABASE old"))
    old = f"{url.rpartition('/')[0]}/old"
    home = new_home(tmp_path / "home", {"postgres": {"postgres_url": old}})
    ref = InstanceRef.from_dir(str(home))
    with DagsterInstance.from_ref(ref):
        pass
    engine = sqlalchemy.create_engine(old, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection, open_in_run(ref) as instance:

        def change(what: str) -> None:
            connection.execute(sqlalchemy.text(f"ALTER TABLE asset_keys {what}"))

        column = "cached_status_data"
        change(f"DROP COLUMN {column}")
        assert not instance.event_log_storage.can_read_asset_status_cache()
        change(f"ADD COLUMN {column} TEXT")
        assert instance.event_log_storage.can_read_asset_status_cache()


def test_a_process_that_user_code_forks_has_connections_of_its_own(ref: InstanceRef) -> None:
    with open_in_run(ref) as instance:
        run = create_run_for_test(instance, status=DagsterRunStatus.STARTED)

        def write(who: str) -> None:
            for number in range(EVENTS):
                instance.report_engine_event(f"{who} {number}", run)

        write("before")
        forked = multiprocessing.get_context("fork").Process(target=write, args=("child",))
        forked.start()
        write("parent")
        forked.join(60)
        assert forked.exitcode == 0
        said = {entry.message for entry in instance.all_logs(run.run_id)}
    writers = ("before", "parent", "child")
    assert said >= {f"{who} {number}" for who in writers for number in range(EVENTS)}


def test_sqlite_is_created_as_dagster_does_and_then_opened_without_a_look_at_migrations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = InstanceRef.from_dir(str(new_home(tmp_path / "home")))
    looked: list[Any] = []
    original = ScriptDirectory.from_config

    def from_config(config: Any) -> ScriptDirectory:
        looked.append(config)
        return original(config)

    monkeypatch.setattr(ScriptDirectory, "from_config", from_config)
    with opened_by(open_in_run):
        with DagsterInstance.from_ref(ref) as instance:
            run = create_run_for_test(instance, status=DagsterRunStatus.STARTED)
            instance.report_engine_event("So it is.", run)
        assert looked
        looked.clear()
        with DagsterInstance.from_ref(ref) as instance:
            instance.report_run_failed(run)
        assert not looked
    with DagsterInstance.from_ref(ref) as dagsters:
        record = dagsters.get_run_record_by_id(run.run_id)
        assert record is not None
        assert record.end_time is not None
        known, newest = dagsters.run_storage.alembic_version() or (None, None)
        assert known == newest
