"""What is wrong with a secret is said without a word of it."""

from __future__ import annotations

import socket

import psycopg2
import pytest

from run_isolation.dagster.database.parameters import CONNECT_SECONDS, parameters
from run_isolation.default_instance import Database
from run_isolation.errors import DatabaseError

PLACE = Database(host="h", name="n", secret_arn="arn:secret")


@pytest.mark.parametrize(
    ("config", "text", "said"),
    [
        (Database(), None, "RUN_ISOLATION_DATABASE: it is not set, and storage names no secret."),
        (PLACE, "hunter2", "arn:secret: it is neither a URL of Postgres nor JSON."),
        (PLACE, "mysql://u:hunter2@h/n", "arn:secret: it is neither a URL of Postgres nor JSON."),
        (PLACE, '{"password": "hunter2"', "it begins like JSON and is none."),
        (PLACE, '{"user": "u", "password": "hunter2"}', "nothing says user. Say host"),
        (Database(), '{"username": "u", "password": "hunter2"}', "nothing says host or name."),
        (
            Database(**PLACE, keys={"user": "usr"}),
            '{"username": "u", "password": "hunter2"}',
            "it has no key usr, but password, username. Mend `instance.database.keys`",
        ),
    ],
)
def test_what_is_missing(config: Database, text: str | None, said: str) -> None:
    with pytest.raises(DatabaseError) as raised:
        parameters(config, text)
    assert said in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_what_a_url_says_beside_goes_to_libpq() -> None:
    found = parameters(
        Database(), "postgresql://u:p%40@h/n?options=-ctimezone%3DUTC&sslmode=require"
    )
    assert found["options"] == "-ctimezone=UTC"
    assert (found["password"], found["sslmode"]) == ("p@", "require")


@pytest.mark.parametrize(
    ("config", "mode"),
    [
        (Database(), None),
        (Database(ssl_mode="verify-ca"), "verify-ca"),
        (Database(iam=True), "require"),
        (Database(iam=True, ssl_root_cert="/ca.pem"), "verify-full"),
        (Database(iam=True, ssl_root_cert="/ca.pem", ssl_mode="verify-ca"), "verify-ca"),
    ],
)
def test_a_token_is_never_sent_in_the_clear(config: Database, mode: str | None) -> None:
    text = '{"username": "u", "password": "p"}'
    assert parameters(Database(**PLACE, **config), text).get("sslmode") == mode


def test_a_database_that_accepts_and_says_nothing_takes_no_more_than_was_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://u:p@127.0.0.1:{silent.getsockname()[1]}/n"
        assert parameters(Database(), url)["connect_timeout"] == CONNECT_SECONDS
        found = parameters(Database(), f"{url}?connect_timeout=2")
        with pytest.raises(psycopg2.OperationalError, match="timeout expired"):
            psycopg2.connect(**found)
