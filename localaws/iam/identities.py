"""Credentials, and whom they mean.

A session's keys come from a secret path, as a task's do on ECS; botocore follows it by
`AWS_CONTAINER_CREDENTIALS_FULL_URI`, which may be a loopback address.
https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
"""

from __future__ import annotations

import os
import re
import secrets
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from moto.sts.models import sts_backends

from localaws.iam.needs.ask import PARTITION
from localaws.iam.principals import Principal

#: How a session's access key begins.
#: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids
_TEMPORARY: Final = "ASIA"
#: A task's credentials are good for six hours, and renewed before.
_SECONDS: Final = 6 * 3600
_REGION: Final = "us-east-1"
_ACCOUNT: Final = re.compile(r"\d{12}")


class InvalidTokenError(Exception):
    """The credentials are no longer, or never were, anybody's."""


@dataclass(frozen=True)
class Session:
    """A role that somebody has taken on.

    Attributes:
        principal: The session.
        secret: The end of its secret path.
        access_key: Its access key id.
        token: Its session token.
    """

    principal: Principal
    secret: str
    access_key: str
    secret_key: str
    token: str

    @property
    def path(self) -> str:
        """Where its credentials are served."""
        return f"{PATH}{self.secret}"

    def credentials(self) -> dict[str, str]:
        """Return the answer of its path."""
        return {
            "RoleArn": self.principal.role,
            "AccessKeyId": self.access_key,
            "SecretAccessKey": self.secret_key,
            "Token": self.token,
            "Expiration": f"{datetime.now(UTC) + timedelta(seconds=_SECONDS):%Y-%m-%dT%H:%M:%SZ}",
        }


#: What the secret paths begin with, as on ECS.
PATH: Final = "/v2/credentials/"


class Identities:
    """Who is behind which access key. Thread-safe.

    The account's root has any access key, by whose name callers are told apart, and a token that no
    task is told: so a task can't call itself root.

    Args:
        account_id: The account. A key that is an account's number is the root's of that account.

    Attributes:
        root_token: The session token of the account's root.
    """

    def __init__(self, account_id: str) -> None:
        self.root_token = secrets.token_urlsafe(32)
        self._account_id = account_id
        self._by_key: dict[str, Session] = {}
        self._by_secret: dict[str, Session] = {}
        self._lock = threading.Lock()

    def open(self, role_arn: str, name: str) -> Session:
        """Return a new session of a role.

        Args:
            role_arn: The role; it need not exist yet, and has no rights then.
            name: The session's name: the task's id on ECS.
        """
        # moto's, so that GetCallerIdentity says whose they are.
        sts = sts_backends[self._account_id][PARTITION]
        assumed = sts.assume_role(_REGION, name, role_arn, "", _SECONDS, "")
        session = Session(
            principal=self.session(role_arn, name),
            secret=secrets.token_urlsafe(32),
            access_key=assumed.access_key_id,
            secret_key=assumed.secret_access_key,
            token=assumed.session_token,
        )
        with self._lock:
            self._by_key[session.access_key] = session
            self._by_secret[session.secret] = session
        return session

    @staticmethod
    def environment(session: Session, endpoint_url: str) -> dict[str, str]:
        """Return the environment variables that make a process a session's."""
        return {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": endpoint_url + session.path,
            # What the user of this machine has in ~/.aws would go before it.
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_CONFIG_FILE": os.devnull,
        }

    def close(self, session: Session) -> None:
        """Let a session's credentials mean nobody any longer."""
        with self._lock:
            self._by_key.pop(session.access_key, None)
            self._by_secret.pop(session.secret, None)
            for known in _assumed():
                known[:] = [one for one in known if one.access_key_id != session.access_key]

    def serve(self, path: str) -> dict[str, str] | None:
        """Return the credentials of a secret path, or None."""
        with self._lock:
            session = self._by_secret.get(path.removeprefix(PATH))
        return session.credentials() if session else None

    def is_root_token(self, token: str) -> bool:
        """Whether a token is the root's."""
        return secrets.compare_digest(token.encode(), self.root_token.encode())

    def session(self, role_arn: str, name: str) -> Principal:
        """Return who a role's session is: in the account of the role."""
        account = role_arn.split(":")[4] if role_arn.count(":") >= 5 else self._account_id
        arn = f"arn:{PARTITION}:sts::{account}:assumed-role/{role_arn.rsplit('/', 1)[-1]}"
        return Principal(f"{arn}/{name}", account, role_arn)

    def _root(self, access_key: str) -> Principal:
        account = access_key if _ACCOUNT.fullmatch(access_key) else self._account_id
        return Principal(f"arn:{PARTITION}:iam::{account}:root", account)

    def of(self, access_key: str, token: str) -> Principal:
        """Return whose an access key is.

        Raises:
            InvalidTokenError: Nobody has this key with this token.
        """
        if not access_key:
            return Principal()
        if not access_key.startswith(_TEMPORARY):
            if self.is_root_token(token):
                return self._root(access_key)
            raise InvalidTokenError
        with self._lock:
            session = self._by_key.get(access_key)
        if session is not None and secrets.compare_digest(session.token, token):
            return session.principal
        for role in (one for known in _assumed() for one in known):
            if role.access_key_id == access_key and role.session_token == token:
                return self.session(role.role_arn, role.session_name)
        raise InvalidTokenError


def _assumed() -> list[list[Any]]:
    """Return the sessions that moto knows, of the roles of each account."""
    return [sts_backends[account][PARTITION].assumed_roles for account in list(sts_backends)]
