"""Logs in to the instance's database with the password that is valid now.

Runs in: whatever opens the instance.

ECS gives a task the secret's text at its start. It stays the same there while the password is
rotated, so a login that is refused reads the secret again, for all processes of the container. As
long as the password is valid AWS is asked nothing.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from dataclasses import asdict, dataclass
from functools import cache
from hashlib import sha256
from typing import Any, Final

import psycopg2

from run_isolation.dagster.database import board, tokens
from run_isolation.dagster.database.parameters import Parameters, parameters
from run_isolation.default_instance import DATABASE, Database
from run_isolation.errors import RunIsolationError
from run_isolation.secret_value import Secret

AGAIN_SECONDS: Final = 5.0
"""Between two reads of the secret by one process, however many of its logins are refused. Dagster
gives up after 6 (dagster_postgres/utils.py, ``retry_pg_connection_fn``), so each of its connections
reads it at least once."""

_log: Final = logging.getLogger(__name__)
_logins: Final[list[Login]] = []


@dataclass(frozen=True)
class Known:
    """What a process knows to log in with."""

    secret: str | None
    """Its text."""
    token: str | None = None
    signed: float = 0.0
    """When the token was: seconds of the machine's monotonic clock."""

    def lasts(self) -> bool:
        """Whether the token may be used for another connection."""
        return self.token is not None and time.monotonic() - self.signed < tokens.USED_SECONDS


class Login:
    """One database, as one user.

    Args:
        config: The storage's.
        secret: The secret's text as the environment has it; None: it is read before the first
            connection.
    """

    def __init__(self, config: Database, secret: str | None) -> None:
        self._config = config
        arn = config.get("secret_arn")
        self._secret = Secret.of(arn) if arn else None
        self._iam = config.get("iam", False)
        self._key = sha256(json.dumps([config, secret], sort_keys=True).encode()).hexdigest()
        self._good = None if secret is None and self._secret else Known(secret)
        self._read: Known | None = None
        self._read_again_at = 0.0
        self.unlock()

    def unlock(self) -> None:
        """In a process that was forked while another thread read the secret."""
        self._lock = threading.Lock()

    def connect(self, **more: Any) -> Any:
        """A connection of psycopg2.

        Args:
            more: Of ``psycopg2.connect``.

        Raises:
            psycopg2.OperationalError: There is none, nor with what the secret says now.
            DatabaseError: Something that a login needs is missing.
            SecretError: The secret can't be read, and nothing else is known.
        """
        known = self._known()
        try:
            return psycopg2.connect(**{**self._parameters(known), **more})
        except psycopg2.OperationalError:
            # Whether it is for the password can't be told: its text is in the server's language.
            newer = self._newer(known)
            if newer is None:
                raise
        connection = psycopg2.connect(**{**self._parameters(newer), **more})
        self._tell(newer)
        _log.info("The database takes another password than before; it was read again.")
        return connection

    def _known(self) -> Known:
        with self._lock:
            if (known := self._told()) is None:
                known = Known(self._secret.value() if self._secret else None)
                self._good = known
            if self._iam and not known.lasts():
                known = self._signed(known.secret)
                self._tell(known)
            return known

    def _newer(self, refused: Known) -> Known | None:
        """What others log in with by now, or what AWS says; None where that is the same."""
        with self._lock:
            if (known := self._told()) != refused:
                return known
            if time.monotonic() >= self._read_again_at:
                self._read_again_at = time.monotonic() + AGAIN_SECONDS
                try:
                    self._read = self._ask(refused)
                except RunIsolationError as error:
                    _log.warning("The database refuses a login. %s", error)
            return None if self._read == refused else self._read

    def _ask(self, refused: Known) -> Known:
        secret = self._secret.value() if self._secret else refused.secret
        if self._iam:
            return self._signed(secret)
        if self._secret and secret == refused.secret:
            # In a rotation the database has the next password before it is the current one.
            secret = self._secret.pending() or secret
        return Known(secret)

    def _told(self) -> Known | None:
        """What this process logs in with, or another one of this container by now."""
        what = board.told(self._key)
        return Known(**what) if what else self._good

    def _tell(self, known: Known) -> None:
        self._good = known
        board.tell(self._key, asdict(known))

    def _signed(self, secret: str | None) -> Known:
        login = parameters(self._config, secret)
        return Known(secret, tokens.sign(login, self._config.get("region")), time.monotonic())

    def _parameters(self, known: Known) -> Parameters:
        found = parameters(self._config, known.secret)
        return found if known.token is None else {**found, "password": known.token}


def login(config: str) -> Login:
    """The one login of this process for a storage.

    Args:
        config: The storage's, as JSON.
    """
    return _login(config, os.environ.get(DATABASE))


@cache
def _login(config: str, secret: str | None) -> Login:
    made = Login(json.loads(config), secret)
    _logins.append(made)
    return made


def _unlock() -> None:
    for one in _logins:
        one.unlock()


os.register_at_fork(after_in_child=_unlock)
