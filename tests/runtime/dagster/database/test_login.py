"""Whatever AWS hands out, and however often it changes, one logs in."""

from __future__ import annotations

import json
import logging
import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from types_boto3_secretsmanager import SecretsManagerClient

from run_isolation.dagster.database.login import Login
from tests.runtime.dagster.database.conftest import Role, database, secret

THREADS = 8


def who(login: Login) -> tuple[str, str]:
    """User and database of a new connection."""
    connection = login.connect()
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user, current_database()")
        found: tuple[str, str] = cursor.fetchone()
    connection.close()
    return found


def forms(role: Role) -> dict[str, tuple[dict[str, Any], str]]:
    """Config and text of each form that a secret has."""
    place = role.place
    rds = {"username": role.name, "password": role.password}
    console = {"engine": "postgres", "dbInstanceIdentifier": "db"}
    words = {"user": "usr", "password": "pwd", "host": "endpoint", "port": "p", "name": "db"}
    own = {"usr": role.name, "pwd": role.password, "endpoint": place["host"], "p": place["port"]}
    return {
        "a URL": ({}, role.url),
        "a URL with SQLAlchemy's driver": ({}, role.url.replace("ql://", "ql+psycopg2://")),
        "a URL as other tools have it": ({}, role.url.replace("postgresql://", "postgres://")),
        "RDS's own": (place, json.dumps(rds)),
        "RDS's in the console": (
            {"name": role.name},
            json.dumps({**rds, **console, "host": place["host"], "port": str(place["port"])}),
        ),
        "keys of any names": ({"keys": words}, json.dumps({**own, "db": role.name})),
        "config before the secret": (place, json.dumps({**rds, "host": "gone", "dbname": "gone"})),
        "config before a URL": (place, role.url.replace(f"{place['host']}:", "gone:")),
    }


FORMS = list(forms(Role("postgresql://dagster@h:1/postgres")))


@pytest.mark.parametrize("form", FORMS)
def test_each_form_of_a_secret(role: Role, form: str) -> None:
    config, text = forms(role)[form]
    assert who(Login(database(**config), text)) == (role.name, role.name)


def test_without_a_text_from_ecs_the_secret_is_read_once(
    role: Role, manager: SecretsManagerClient, asked: list[str]
) -> None:
    login = Login(database(secret_arn=secret(manager, role.url)), None)
    assert [who(login), who(login)] == [(role.name, role.name)] * 2
    assert asked == ["current"]


def test_as_long_as_the_password_is_valid_aws_is_asked_nothing(
    role: Role, manager: SecretsManagerClient, asked: list[str]
) -> None:
    who(Login(database(secret_arn=secret(manager, "whatever")), role.url))
    assert asked == []


def test_a_password_that_has_changed_is_read(
    role: Role, manager: SecretsManagerClient, asked: list[str]
) -> None:
    """In a task: its environment has the first password for ever."""
    arn = secret(manager, role.credentials)
    login = Login(database(**role.place, secret_arn=arn), role.credentials)
    open_one = login.connect()
    role.change("second")
    manager.put_secret_value(SecretId=arn, SecretString=role.credentials)

    assert who(login) == (role.name, role.name)
    assert who(login) == (role.name, role.name)
    assert asked == ["current"]
    with open_one.cursor() as cursor:
        cursor.execute("SELECT 1")


def test_in_the_middle_of_a_rotation_the_next_password_is_tried(
    role: Role, manager: SecretsManagerClient, asked: list[str]
) -> None:
    """The database has it before it is the current one."""
    arn = secret(manager, role.credentials)
    login = Login(database(**role.place, secret_arn=arn), role.credentials)
    role.change("second")
    manager.put_secret_value(
        SecretId=arn, SecretString=role.credentials, VersionStages=["AWSPENDING"]
    )
    assert who(login) == (role.name, role.name)
    assert asked == ["current", "AWSPENDING"]


def test_all_threads_go_on_with_one_read(
    role: Role, manager: SecretsManagerClient, asked: list[str]
) -> None:
    arn = secret(manager, role.credentials)
    login = Login(database(**role.place, secret_arn=arn), role.credentials)
    role.change("second")
    manager.put_secret_value(SecretId=arn, SecretString=role.credentials)
    with ThreadPoolExecutor(THREADS) as threads:
        found = list(threads.map(lambda _: who(login), range(THREADS)))
    assert found == [(role.name, role.name)] * THREADS
    assert asked == ["current"]


def test_who_is_refused_again_and_again_reads_the_secret_seldom(
    role: Role, manager: SecretsManagerClient, asked: list[str]
) -> None:
    arn = secret(manager, role.credentials)
    login = Login(database(**role.place, secret_arn=arn), role.credentials)
    role.change("second")
    for _ in range(3):
        with pytest.raises(psycopg2.OperationalError):
            login.connect()
    assert asked == ["current", "AWSPENDING"]


def test_a_secret_that_can_t_be_read_is_named_and_the_server_s_words_stand(
    role: Role, manager: SecretsManagerClient, caplog: pytest.LogCaptureFixture
) -> None:
    arn = secret(manager, role.credentials)
    manager.delete_secret(SecretId=arn, ForceDeleteWithoutRecovery=True)
    login = Login(database(**role.place, secret_arn=arn), role.credentials)
    role.change("second")
    with (
        caplog.at_level(logging.WARNING),
        pytest.raises(psycopg2.OperationalError, match="password"),
    ):
        login.connect()
    assert f"Secret {arn}: AWS answers: " in caplog.text
    assert role.password not in caplog.text


def test_processes_that_are_forked_from_one_that_knows_no_better_ask_once(
    role: Role, manager: SecretsManagerClient, asked: list[str], tmp_path: Path
) -> None:
    """As runs are, from the template."""
    arn = secret(manager, role.credentials)
    template = Login(database(**role.place, secret_arn=arn), role.credentials)
    role.change("second")
    manager.put_secret_value(SecretId=arn, SecretString=role.credentials)

    def run() -> None:
        who(template)
        with (tmp_path / "asked").open("a") as file:
            file.writelines(f"{one}\n" for one in asked)

    for _ in range(2):
        child = multiprocessing.get_context("fork").Process(target=run)
        child.start()
        child.join(30)
        assert child.exitcode == 0
    assert (tmp_path / "asked").read_text() == "current\n"


def test_a_process_that_is_forked_while_the_secret_is_read_logs_in(
    role: Role, manager: SecretsManagerClient
) -> None:
    from run_isolation.dagster.database.login import login

    arn = secret(manager, role.credentials)
    one = login(json.dumps({**role.place, "secret_arn": arn}))
    with one._lock:
        child = multiprocessing.get_context("fork").Process(target=who, args=(one,))
        child.start()
    child.join(30)
    assert child.exitcode == 0
