"""Dagster's storage: SQLite always, and Postgres where this machine has a server."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import sqlalchemy
from sqlalchemy.engine import URL, make_url

from localaws.account import LocalAccount
from tests.runtime.dagster.database.certificates import authority_and_server
from tests.waiting import eventually
from tools.ports import free_port

DEBIAN = Path("/usr/lib/postgresql")
"""https://packages.debian.org/stable/postgresql: each major version has its own directory here."""
LOGS = "run-isolation-e2epostgres-logs"
"""A bucket of the user's own: it stays while a test changes what is said about compute logs."""
NO_POSTGRES = "no Postgres server here: neither `initdb` on PATH nor Debian's package"
UNPRIVILEGED = ("postgres", "nobody")
"""Whom the server runs as where the tests run as root, which it refuses."""
BY_TOKEN = "by_token"
"""A user of the database who logs in as those of RDS's IAM authentication do: over TLS only, with
whatever for a password. That tokens are as RDS wants them has a test of its own."""
KEYS = {"user": "usr", "password": "pwd", "host": "endpoint", "port": "p", "name": "db"}
"""What one form of the secret calls its parts."""


@dataclass
class Database:
    """A Postgres database, and its secret in each form that AWS hands out.

    Attributes:
        manager: Secrets Manager.
        url: With the password that is valid now.
    """

    manager: Any
    url: URL
    _secrets: dict[str, Callable[[], str]] = field(default_factory=dict, init=False)
    """By ARN: the text that belongs into it now."""

    @property
    def forms(self) -> Mapping[str, Mapping[str, Any]]:
        """By name: what the stack config's `run-isolation:instance` says for it."""
        place = {"host": self.url.host, "port": self.url.port, "name": self.url.database}
        # TLS takes each connection some CPU time, which only those who ask for it spend.
        plain = {"sslMode": "disable"}
        return {
            "RDS's own": {
                "database": {"secretArn": self._secret("rds!db-e2e", self._rds), **place, **plain}
            },
            "keys of any names": {
                "database": {
                    "secretArn": self._secret("e2e-json", self._own),
                    "keys": KEYS,
                    **plain,
                }
            },
            "a URL": {"databaseUrlSecretArn": self._secret("e2e-url", self._text)},
            "IAM": {"database": {**place, "user": BY_TOKEN, "iamAuthentication": True}},
        }

    def rotate(self) -> None:
        """Change the password, and then all secrets."""
        password = uuid4().hex
        self.execute(f"ALTER ROLE {self.url.username} PASSWORD '{password}'")
        self.url = self.url.set(password=password)
        for arn, text in self._secrets.items():
            self.manager.put_secret_value(SecretId=arn, SecretString=text())

    def execute(self, statement: str) -> None:
        """Execute one as the database's owner."""
        with sqlalchemy.create_engine(self.url).begin() as connection:
            connection.exec_driver_sql(statement)

    def _secret(self, name: str, text: Callable[[], str]) -> str:
        known = [arn for arn in self._secrets if f":{name}-" in arn]
        if not known:
            known = [self.manager.create_secret(Name=name, SecretString=text())["ARN"]]
            self._secrets[known[0]] = text
        return known[0]

    def _rds(self) -> str:
        """https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-secrets-manager.html"""
        return json.dumps({"username": self.url.username, "password": self.url.password})

    def _own(self) -> str:
        url = self.url
        parts: dict[str, Any] = {"user": url.username, "password": url.password, "host": url.host}
        parts |= {"port": url.port, "name": url.database}
        return json.dumps({KEYS[part]: value for part, value in parts.items()})

    def _text(self) -> str:
        return self.url.render_as_string(hide_password=False)


@dataclass(frozen=True)
class Storage:
    """How the deployment's processes find it.

    Attributes:
        instance: The stack config's `run-isolation:instance`.
        database: That part of it which says where the storage is.
        shared: The directory that all have to write to, if there is one.
        logs: The bucket of compute logs.
        postgres: The database, where it is one.
    """

    database: Mapping[str, Any]
    shared: Path | None = None
    logs: str = "create"
    postgres: Database | None = None

    @property
    def instance(self) -> Mapping[str, Any]:
        return {**self.database, "computeLogsBucket": self.logs, "io": "create"}


def sqlite(directory: Path, account: LocalAccount) -> Storage:
    """A directory on this machine's disk, which tasks find at the same path."""
    account.mount(directory)
    return Storage({"sqliteDirectory": str(directory)}, shared=directory)


def postgres_programs() -> Path | None:
    """The directory of `initdb` and `postgres`, or None."""
    on_path = shutil.which("initdb")
    candidates = [Path(on_path).resolve().parent] if on_path else []
    candidates += sorted(DEBIAN.glob("*/bin"), reverse=True)
    for directory in candidates:
        if (directory / "initdb").exists() and (directory / "postgres").exists():
            return directory
    return None


@contextmanager
def postgres(programs: Path, account: LocalAccount) -> Iterator[Storage]:
    """A server of its own with an empty database.

    Webserver and daemon read its secret by themselves. Where a test says nothing, it is of the form
    that leaves most to be found out: all is in the secret, under names of its owner.
    """
    _, files = authority_and_server("localhost")
    with server(programs, password="first", files=files, trusted=BY_TOKEN) as text:
        database = Database(account.client("secretsmanager"), make_url(text))
        database.execute(f"CREATE ROLE {BY_TOKEN} LOGIN SUPERUSER")
        account.client("s3").create_bucket(Bucket=LOGS)
        yield Storage(database.forms["keys of any names"], logs=LOGS, postgres=database)


@contextmanager
def server(
    programs: Path,
    password: str | None = None,
    files: Mapping[str, bytes] | None = None,
    trusted: str | None = None,
) -> Iterator[str]:
    """Postgres with an empty database: its URL. Answers on one port of 127.0.0.1 only.

    Args:
        programs: Where `initdb` and `postgres` are.
        password: Without which nobody may log in; None: anybody may.
        files: For TLS: `server.crt` and `server.key`.
        trusted: A user who may log in with any password, over TLS.
    """
    user = _unprivileged()
    # Not below pytest's directories: only their owner can go in.
    directory = Path(tempfile.mkdtemp(prefix="run-isolation-postgres-"))
    log = directory / "log"
    data = directory / "data"
    if user is not None:
        os.chown(directory, user.pw_uid, user.pw_gid)
    own: dict[str, Any] = {"cwd": directory}
    if user is not None:
        own |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    try:
        secret = directory / "password"
        secret.write_text(password or "")
        login = ["-A", "scram-sha-256", f"--pwfile={secret}"] if password else ["-A", "trust"]
        subprocess.run(
            [programs / "initdb", "-D", data, "-U", "dagster", *login, "--no-sync"],
            check=True,
            capture_output=True,
            **own,
        )
        port = free_port()
        settings = ["listen_addresses=127.0.0.1", f"port={port}", "unix_socket_directories="]
        # The database does not outlive the tests: nothing has to be on the disk.
        settings += ["fsync=off", "full_page_writes=off", "synchronous_commit=off"]
        for name, content in (files or {}).items():
            (data / name).write_bytes(content)
            (data / name).chmod(0o600)
            if user is not None:
                os.chown(data / name, user.pw_uid, user.pw_gid)
        settings += ["ssl=on"] if files else []
        if trusted:
            rules = data / "pg_hba.conf"
            rules.write_text(f"hostssl all {trusted} 127.0.0.1/32 trust\n{rules.read_text()}")
        options = [part for setting in settings for part in ("-c", setting)]
        with log.open("wb") as output:
            server = subprocess.Popen(
                [programs / "postgres", "-D", data, *options], stdout=output, stderr=output, **own
            )
        try:
            who = f"dagster:{password}" if password else "dagster"
            url = f"postgresql://{who}@127.0.0.1:{port}/postgres"
            eventually(lambda: _accepts(url), lambda: f"Postgres answers\n{log.read_text()}")
            yield url
        finally:
            # SIGINT: open connections are closed, where SIGTERM waits for them.
            server.send_signal(2)
            server.wait(30)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _unprivileged() -> pwd.struct_passwd | None:
    """Whom to run the server as; None means as oneself."""
    if os.geteuid() != 0:
        return None
    known = {user.pw_name: user for user in pwd.getpwall()}
    return next(known[name] for name in UNPRIVILEGED if name in known)


def _accepts(url: str) -> bool:
    engine = sqlalchemy.create_engine(url)
    try:
        engine.connect().close()
    except sqlalchemy.exc.OperationalError:
        return False
    finally:
        engine.dispose()
    return True
