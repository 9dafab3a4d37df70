"""Dagster's storage on Postgres, that logs in with a secret as AWS has it, rotated or not.

``dagster.yaml`` names it, so it can be imported by this name for ever.

Dagster's own takes one URL for its whole life, and makes engines of SQLAlchemy from it, now and
then new ones, in every version a little differently. So what it is given here is a URL without
anything secret, of a dialect whose connections ``database.login`` makes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, Self
from urllib.parse import quote

from dagster import Field, IntSource, StringSource
from dagster._serdes import ConfigurableClassData
from dagster_postgres.storage import DagsterPostgresStorage
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2
from sqlalchemy.engine import URL

from run_isolation.dagster.database.login import login

DRIVER: Final = "run_isolation"
_CONFIG: Final = "config"

_TEXTS: Final = ("secret_arn", "host", "name", "user", "region", "ssl_mode", "ssl_root_cert")
_PARTS: Final = ("user", "password", "host", "port", "name")
_CREATE: Final = "should_autocreate_tables"
"""Dagster's own."""


class PostgresStorage(DagsterPostgresStorage):
    """Postgres, as :class:`run_isolation.default_instance.Database` describes it."""

    @classmethod
    def config_type(cls) -> Any:
        """What ``storage.config`` in ``dagster.yaml`` may say."""
        return {
            **{name: Field(StringSource, is_required=False) for name in _TEXTS},
            "port": Field(IntSource, is_required=False),
            "iam": Field(bool, is_required=False),
            "keys": Field(
                {part: Field(str, is_required=False) for part in _PARTS}, is_required=False
            ),
            _CREATE: Field(bool, is_required=False, default_value=True),
        }

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Self:
        """The storage; unless it is to create no tables, it connects now.

        Raises:
            DatabaseError: Something that a login needs is missing.
            SecretError: The secret can't be read, and nothing else is known.
        """
        config = {word: value for word, value in config_value.items() if word != _CREATE}
        return cls(
            postgres_url=url(config),
            should_autocreate_tables=config_value.get(_CREATE, True),
            inst_data=inst_data,
        )


def url(config: Mapping[str, Any]) -> str:
    """The URL of a storage, which tells everything that is in its config, and no secret."""
    text = json.dumps(config, sort_keys=True, separators=(",", ":"))
    return f"postgresql+{DRIVER}://?{_CONFIG}={quote(text)}"


class Dialect(PGDialect_psycopg2):
    """Dagster's own dialect, but for how it connects."""

    supports_statement_cache = True

    def create_connect_args(self, url: URL) -> Any:
        """Nothing that SQLAlchemy passes on, to ``connect`` or to who listens before it."""
        self._login = login(str(url.query[_CONFIG]))
        return [], {}

    def connect(self, *_args: Any, **more: Any) -> Any:
        """A connection with the password that is valid now."""
        return self._login.connect(**more)


registry.register(f"postgresql.{DRIVER}", __name__, Dialect.__name__)
