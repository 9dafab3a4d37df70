"""Dagster's storage on Postgres with a secret that AWS keeps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from dagster import DagsterInstance, DagsterInvalidConfigError, DagsterRunStatus
from dagster._core.instance.ref import InstanceRef
from dagster._core.test_utils import create_run_for_test
from types_boto3_secretsmanager import SecretsManagerClient

from run_isolation.dagster.database.login import Login
from run_isolation.dagster.warm.quick_storage import open_in_run
from run_isolation.default_instance import DATABASE, postgres
from tests.code_server.runs import new_home
from tests.e2e.storage import NO_POSTGRES, postgres_programs, server
from tests.runtime.dagster.database.certificates import authority_and_server
from tests.runtime.dagster.database.conftest import Role, database, secret


def ref(directory: Path, **config: Any) -> InstanceRef:
    """Of a home with this storage."""
    return InstanceRef.from_dir(str(new_home(directory, postgres(**config))))


def use(instance: DagsterInstance) -> None:
    """Each of its three storages."""
    run = create_run_for_test(instance, status=DagsterRunStatus.STARTED)
    instance.report_run_failed(run)
    assert instance.get_run_by_id(run.run_id) is not None
    assert list(instance.all_logs(run.run_id))
    assert not list(instance.all_instigator_state())


def test_an_instance_goes_on_after_its_password_has_changed(
    role: Role, manager: SecretsManagerClient, asked: list[str], tmp_path: Path
) -> None:
    """As webserver and daemon, which have opened it and ECS gives them nothing."""
    arn = secret(manager, role.credentials)
    with DagsterInstance.from_ref(ref(tmp_path, **role.place, secret_arn=arn)) as instance:
        use(instance)
        role.change("second")
        manager.put_secret_value(SecretId=arn, SecretString=role.credentials)
        use(instance)
        # As Dagster's webserver does: it makes other engines.
        instance.optimize_for_webserver(statement_timeout=0, pool_recycle=60, max_overflow=20)
        use(instance)
    assert asked == ["current", "current"]


def test_a_run_that_is_forked_later_asks_once(
    role: Role,
    manager: SecretsManagerClient,
    asked: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arn = secret(manager, role.credentials)
    monkeypatch.setenv(DATABASE, role.credentials)
    home = ref(tmp_path, **role.place, secret_arn=arn)
    with DagsterInstance.from_ref(home):
        pass
    assert asked == []
    role.change("second")
    manager.put_secret_value(SecretId=arn, SecretString=role.credentials)
    for _ in range(2):
        with open_in_run(home) as instance:
            use(instance)
    assert asked == ["current"]


def test_nothing_secret_is_shown(role: Role, manager: SecretsManagerClient, tmp_path: Path) -> None:
    role.change("hunter2")
    arn = secret(manager, role.url)
    with DagsterInstance.from_ref(ref(tmp_path, secret_arn=arn)) as instance:
        storage: Any = instance.run_storage
        engine = storage._engine
        shown = [instance.info_str(), storage.postgres_url, str(engine), repr(engine.url)]
        shown += [str(instance.get_ref().to_dict())]
        shown += [str(engine.dialect.create_connect_args(engine.url))]
    assert not [text for text in shown if "hunter2" in text]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"secretArn": "arn"}, "secretArn"),
        ({"keys": {"username": "u"}}, "username"),
        ({"port": "many"}, "port"),
        ({"iam": "yes"}, "iam"),
    ],
)
def test_what_storage_may_not_say(config: dict[str, Any], said: str, tmp_path: Path) -> None:
    with (
        pytest.raises(DagsterInvalidConfigError, match=said),
        DagsterInstance.from_ref(ref(tmp_path, **config)),
    ):
        pass


def test_storage_may_name_variables_like_any_of_dagster_s(
    role: Role, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DB_HOST", role.place["host"])
    monkeypatch.setenv("DB_PORT", str(role.place["port"]))
    monkeypatch.setenv(DATABASE, role.credentials)
    place: dict[str, Any] = {"host": {"env": "DB_HOST"}, "port": {"env": "DB_PORT"}}
    with DagsterInstance.from_ref(ref(tmp_path, **{**role.place, **place})) as instance:
        use(instance)


@pytest.fixture(scope="module")
def with_tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """URL of a server's owner, and the file with the authority that certifies `localhost`."""
    programs = postgres_programs()
    if programs is None:
        pytest.skip(NO_POSTGRES)
    ca, files = authority_and_server("localhost")
    root = tmp_path_factory.mktemp("tls") / "ca.pem"
    root.write_bytes(ca)
    with server(programs, password="owner", files=files) as url:
        yield url, root


def encrypted(url: str, **config: Any) -> bool:
    """Whether the connection that these make is."""
    connection = Login(database(**config), url).connect()
    with connection.cursor() as cursor:
        cursor.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        [found] = cursor.fetchone()
    connection.close()
    return bool(found)


def test_a_server_is_known_by_its_certificate(with_tls: tuple[str, Path], tmp_path: Path) -> None:
    url, root = with_tls
    known = {"ssl_mode": "verify-full", "ssl_root_cert": str(root)}
    assert encrypted(url, **known, host="localhost")
    with pytest.raises(psycopg2.OperationalError, match=r"127\.0\.0\.1"):
        encrypted(url, **known)  # it is not called so
    other = tmp_path / "other.pem"
    other.write_bytes(authority_and_server("localhost")[0])
    with pytest.raises(psycopg2.OperationalError, match="SSL error"):
        encrypted(url, **{**known, "ssl_root_cert": str(other)}, host="localhost")


def test_a_migration_goes_the_same_way(
    with_tls: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alembic has its own idea of databases."""
    url, root = with_tls
    monkeypatch.setenv(DATABASE, url)
    home = ref(tmp_path, host="localhost", ssl_mode="verify-full", ssl_root_cert=str(root))
    with DagsterInstance.from_ref(home) as instance:
        instance.upgrade()
        use(instance)
        known, newest = instance.run_storage.alembic_version() or (None, None)
        assert known == newest
