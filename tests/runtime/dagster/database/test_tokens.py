"""Tokens for RDS. There is no RDS here: a role's password is what was signed last."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import boto3
import botocore.auth
import psycopg2
import pytest

from run_isolation.dagster.database import tokens
from run_isolation.dagster.database.login import Login
from run_isolation.default_instance import Database
from run_isolation.errors import DatabaseError
from tests.runtime.dagster.database.conftest import Role, database

SIGNED: dict[str, Any] = {"host": "db.rds.amazonaws.com", "port": 5433, "user": "a b"}


@pytest.fixture
def rds(role: Role, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """All tokens that were signed; the last one is valid."""
    signed: list[str] = []
    original = tokens.sign

    def sign(*args: Any) -> str:
        token = original(*args)
        role.change(token)
        signed.append(token)
        return token

    monkeypatch.setattr(tokens, "sign", sign)
    return signed


def storage(role: Role) -> Database:
    # The server here has no TLS.
    return database(**role.place, user=role.name, iam=True, ssl_mode="disable")


def test_a_token_is_what_the_sdk_makes() -> None:
    with patch.object(botocore.auth, "get_current_datetime") as now:
        now.return_value = botocore.compat.get_current_datetime()
        client = boto3.client("rds", region_name="eu-west-1")
        theirs = client.generate_db_auth_token(SIGNED["host"], SIGNED["port"], SIGNED["user"])
        ours = tokens.sign(SIGNED, "eu-west-1")
    assert ours == theirs


def test_a_connection_has_a_token_and_needs_no_secret(role: Role, rds: list[str]) -> None:
    one = Login(storage(role), None)
    one.connect().close()
    one.connect().close()
    assert len(rds) == 1


def test_a_token_is_used_for_as_long_as_it_is_valid(
    role: Role, rds: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Login(storage(role), None)
    one.connect().close()
    monkeypatch.setattr(tokens, "USED_SECONDS", 0)
    one.connect().close()
    assert len(rds) == 2


def test_a_token_that_is_refused_is_followed_by_another(role: Role, rds: list[str]) -> None:
    one = Login(storage(role), None)
    one.connect().close()
    role.change("not a token")
    one.connect().close()
    assert len(rds) == 2


def test_host_and_user_may_be_in_a_secret(role: Role, rds: list[str]) -> None:
    config = database(iam=True, ssl_mode="disable")
    Login(config, role.url).connect().close()
    assert f"DBUser={role.name}" in rds[0]


def test_without_tls_there_is_no_connection(role: Role, rds: list[str]) -> None:
    config = database(**role.place, user=role.name, iam=True)
    with pytest.raises(psycopg2.OperationalError, match="SSL"):
        Login(config, None).connect()


def test_without_credentials_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", "/nowhere")
    with pytest.raises(DatabaseError, match=r"no AWS credentials. Give it a role that allows rds"):
        tokens.sign(SIGNED, "eu-west-1")
