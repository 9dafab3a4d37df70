"""A Postgres that asks for passwords, and secrets in memory (moto)."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import psycopg2
import pytest
from psycopg2 import sql
from sqlalchemy.engine import make_url
from types_boto3_secretsmanager import SecretsManagerClient

from run_isolation import aws
from run_isolation.default_instance import DATABASE, Database
from tests.e2e.storage import NO_POSTGRES, postgres_programs, server


@dataclass
class Role:
    """A user of Postgres with a database of its own.

    Attributes:
        admin: URL of the server's owner.
        name: The user's and the database's.
        password: The one that is valid now.
    """

    admin: str
    name: str = field(default_factory=lambda: f"u{uuid.uuid4().hex[:8]}")
    password: str = "first"

    def make(self) -> None:
        self._run("CREATE ROLE {} LOGIN")
        self.change(self.password)
        self._run("CREATE DATABASE {0} OWNER {0}")

    def change(self, password: str) -> None:
        """Another password than before."""
        self.password = password
        statement = sql.SQL("ALTER ROLE {} PASSWORD {}")
        self._execute(statement.format(sql.Identifier(self.name), sql.Literal(password)))

    def _run(self, statement: str) -> None:
        self._execute(sql.SQL(statement).format(sql.Identifier(self.name)))

    def _execute(self, statement: Any) -> None:
        connection = psycopg2.connect(self.admin)
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
        connection.close()

    @property
    def place(self) -> dict[str, Any]:
        """Host, port and name, as storage has them."""
        url = make_url(self.admin)
        return {"host": url.host, "port": url.port, "name": self.name}

    @property
    def url(self) -> str:
        """With the password."""
        where = self.place
        return (
            f"postgresql://{self.name}:{self.password}@{where['host']}:{where['port']}/{self.name}"
        )

    @property
    def credentials(self) -> str:
        """As RDS's own secrets have them: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-secrets-manager.html."""
        return json.dumps({"username": self.name, "password": self.password})


@pytest.fixture(scope="session")
def admin() -> Iterator[str]:
    """URL of the owner of a server that asks for passwords."""
    programs = postgres_programs()
    if programs is None:
        pytest.skip(NO_POSTGRES)
    with server(programs, password="owner") as url:
        yield url


@pytest.fixture
def role(admin: str) -> Role:
    role = Role(admin)
    role.make()
    return role


@pytest.fixture
def manager(account: None, monkeypatch: pytest.MonkeyPatch) -> SecretsManagerClient:
    """Secrets Manager; nobody has been given a secret by ECS."""
    monkeypatch.delenv(DATABASE, raising=False)
    return aws.secrets_manager()


@pytest.fixture
def asked(manager: SecretsManagerClient, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Labels of the versions that are read of secrets, from now on."""
    asked: list[str] = []
    original = aws.secrets_manager

    def watched(region: str | None = None) -> SecretsManagerClient:
        client = original(region)

        def called(params: dict[str, Any], **_: Any) -> None:
            asked.append(json.loads(params["body"]).get("VersionStage", "current"))

        client.meta.events.register("before-call.secrets-manager.GetSecretValue", called)
        return client

    monkeypatch.setattr(aws, "secrets_manager", watched)
    return asked


def database(**config: Any) -> Database:
    """The config of a storage."""
    return cast(Database, config)


def secret(manager: SecretsManagerClient, text: str) -> str:
    """ARN of a new secret."""
    return manager.create_secret(Name=f"s{uuid.uuid4().hex[:8]}", SecretString=text)["ARN"]
