"""What a connection to Postgres is made with: from the storage's config and the secret's text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, cast

from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from run_isolation.default_instance import DATABASE, Database
from run_isolation.errors import DatabaseError

Parameters = Mapping[str, Any]
"""Keyword arguments of ``psycopg2.connect``:
https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS"""

PORT: Final = 5432
CONNECT_SECONDS: Final = 20
"""How long one try to connect may take, where a URL does not say it. libpq has no limit: behind a
network that drops everything a try would take the kernel's two minutes, and behind a proxy that
accepts and says nothing, for ever
(https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-CONNECT-TIMEOUT). Dagster
tries six times (dagster_postgres/utils.py), so its two minutes stay for an outage that passes."""

_LIBPQ: Final = {
    "user": "user",
    "password": "password",
    "host": "host",
    "port": "port",
    "name": "dbname",
    "ssl_mode": "sslmode",
    "ssl_root_cert": "sslrootcert",
}
"""libpq's word for what the storage's config calls so."""
_KEYS: Final = {
    "user": "username",
    "password": "password",
    "host": "host",
    "port": "port",
    "name": "dbname",
}
"""What a secret of RDS calls it."""
_SCHEMES: Final = ("postgresql", "postgresql+psycopg2", "postgres")


def parameters(config: Database, secret: str | None) -> Parameters:
    """All of them, but for the password of IAM authentication.

    Args:
        config: The storage's. It goes before the secret.
        secret: Text of the secret, a URL or JSON; None where there is none.

    Raises:
        DatabaseError: Something is missing, or the text is neither. It is not in the error.
    """
    said: Mapping[str, Any] = {**config}
    found = {
        "connect_timeout": CONNECT_SECONDS,
        **_of_secret(config, secret),
        **{libpq: said[word] for word, libpq in _LIBPQ.items() if said.get(word) is not None},
    }
    if config.get("iam"):
        found.pop("password", None)
        # RDS takes tokens over TLS alone, and a token is sent as it is.
        found.setdefault("sslmode", "verify-full" if "sslrootcert" in found else "require")
    if config.get("iam") or secret is None or _is_json(secret):
        # What a URL leaves out libpq knows, or says that it does not.
        _check(config, found)
        found.setdefault("port", PORT)
    return found


def origin(config: Database) -> str:
    """Where the secret is, for errors."""
    return config.get("secret_arn") or f"environment variable {DATABASE}"


def _of_secret(config: Database, secret: str | None) -> Parameters:
    if secret is None:
        if config.get("iam"):
            return {}
        raise DatabaseError(
            origin(config),
            "it is not set, and storage names no secret.",
            "Say `secret_arn` in the config of storage, or set the variable to the secret's text.",
        )
    if _is_json(secret):
        return _of_json(config, secret)
    try:
        url = make_url(secret.strip())
        if url.drivername not in _SCHEMES:
            raise ArgumentError("another database")
    except (ArgumentError, ValueError):
        raise DatabaseError(
            origin(config),
            "it is neither a URL of Postgres nor JSON.",
            "Store postgresql://user:password@host:5432/name, or JSON like RDS's.",
        ) from None
    _, found = PGDialect_psycopg2().create_connect_args(url)  # type: ignore[no-untyped-call]
    return dict(found)


def _is_json(secret: str) -> bool:
    return secret.lstrip().startswith("{")


def _of_json(config: Database, secret: str) -> Parameters:
    try:
        content: Mapping[str, Any] = json.loads(secret)
    except ValueError:
        raise DatabaseError(
            origin(config), "it begins like JSON and is none.", "Mend the secret."
        ) from None
    said = cast(Mapping[str, str], config.get("keys") or {})
    if lacking := sorted(set(said.values()) - content.keys()):
        raise DatabaseError(
            origin(config),
            f"it has no key {', '.join(lacking)}, but {', '.join(sorted(content))}.",
            "Mend `instance.database.keys`, or the secret.",
        )
    keys = {**_KEYS, **said}
    return {
        _LIBPQ[word]: content[key]
        for word, key in keys.items()
        if content.get(key) not in (None, "")
    }


def _check(config: Database, found: Parameters) -> None:
    needed = ["host", "name", "user", *([] if config.get("iam") else ["password"])]
    if missing := [word for word in needed if not found.get(_LIBPQ[word])]:
        raise DatabaseError(
            origin(config),
            f"nothing says {' or '.join(missing)}.",
            "Say host, port, name and user in `instance.database`, or what a secret in JSON calls "
            "them and the password in `instance.database.keys`, where it has other names than RDS.",
        )
