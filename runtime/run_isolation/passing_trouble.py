"""Trouble that passes by itself, told from trouble that somebody has to mend: one table for all.

Whoever calls a service asks here what an error means, and whether trying again is worth it: a
worker that gets ready, a launcher, a server that reads the table. An error counts as what caused
it: a manifest that can't be read because SSM turns calls away passes, one that nobody understands
lasts.

Which errors AWS's SDK itself repeats:
https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from enum import StrEnum
from http.client import HTTPException
from typing import Any, Final
from urllib.error import HTTPError, URLError

from botocore import exceptions as botocore

from run_isolation.errors import TableUnreachableError, TaskMetadataError


class Trouble(StrEnum):
    """What is to be thought of an error."""

    PASSES = "passes by itself"
    SETTLES = "may pass"
    """It is so for what was made or changed a moment ago and has not reached everyone, such as a
    policy, a parameter, a password. After SETTLING_SECONDS it is so for good."""
    LASTS = "has to be mended"


SETTLING_SECONDS: Final = 120.0
"""How long what was just made may be unknown or denied: "changes ... may take time to be visible
everywhere"
(https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency);
"the Amazon ECS API follows an eventual consistency model"
(https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html)."""

THROTTLES: Final = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "KMSThrottlingException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
"""Codes by which AWS turns a call away for its rate
(botocore/retries/standard.py, ThrottledRetryableChecker)."""

UNSETTLED: Final = frozenset(
    {
        # Of a policy or a role. https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html
        "AccessDenied",
        "AccessDeniedException",
        "UnauthorizedOperation",
        # Of credentials that are new, or about to be replaced by the next ones.
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "UnrecognizedClientException",
        # Of what `pulumi up` has just made: table, parameter, secret.
        "ParameterNotFound",
        "ResourceNotFoundException",
    }
)
"""Codes of a refusal that may not be so in a moment."""

CREDENTIALS: Final = (botocore.CredentialRetrievalError, botocore.NoCredentialsError)
"""There were no credentials for the call, so it was not sent. They may come late: the endpoint that
gives them is asked when the first call is made."""

_NETWORK: Final = (
    botocore.HTTPClientError,
    botocore.ConnectionError,
    # Of Python; not OSError, which is of files, too.
    ConnectionError,
    TimeoutError,
    socket.gaierror,
    HTTPException,
    TaskMetadataError,
    TableUnreachableError,
)

_DRIVERS: Final = frozenset(
    f"{driver}.{name}"
    for driver in ("psycopg2", "psycopg")
    for name in ("OperationalError", "InterfaceError")
)
"""Errors of Postgres's drivers that are about a connection or a server, not about a statement
(https://peps.python.org/pep-0249/#exceptions). By name: the core imports no driver."""

_POOL: Final = "sqlalchemy.exc.TimeoutError"
"""No connection of the pool came free in time."""

_SERVER_STATES: Final = ("08", "40", "53", "55", "57")
"""Classes of SQLSTATE that pass: connection, rollback, resources, not in a state for it, operator
(https://www.postgresql.org/docs/current/errcodes-appendix.html)."""

_LOGIN_STATE: Final = "28"
_LOGIN_WORDS: Final = ("authentication failed", "no pg_hba.conf entry")
"""A password that is being changed, or a user who is new. The driver has no SQLSTATE for it."""
_ABSENT_WORDS: Final = "does not exist"
"""A database or a user that is not there."""


def classify(error: BaseException) -> Trouble:
    """What is to be thought of an error, or of what caused it.

    Args:
        error: Any. What no row of the table knows has to be mended.
    """
    verdicts = (_verdict(each) for each in _causes(error))
    return next((verdict for verdict in verdicts if verdict is not None), Trouble.LASTS)


def may_pass(error: BaseException) -> bool:
    """Whether it is worth trying again, for some time at least."""
    return classify(error) is not Trouble.LASTS


def is_throttle(error: botocore.ClientError) -> bool:
    """Whether AWS turned the call away for its rate, so that nothing was done."""
    return error.response["Error"]["Code"] in THROTTLES


def is_server_error(error: botocore.ClientError) -> bool:
    """Whether AWS failed in between, so that the call may or may not have been done."""
    return error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, what caused it, and so on. What it was raised beside has no say."""
    while error is not None:
        yield error
        error = error.__cause__


def _verdict(error: BaseException) -> Trouble | None:
    if isinstance(error, botocore.ClientError):
        return _of_an_answer(error)
    if isinstance(error, HTTPError):
        return Trouble.PASSES if error.code >= 500 or error.code == 429 else Trouble.LASTS
    if isinstance(error, URLError):
        # What it wraps is no cause of it, in Python's sense.
        return classify(error.reason) if isinstance(error.reason, BaseException) else None
    if isinstance(error, (*_NETWORK, *CREDENTIALS)):
        return Trouble.PASSES
    if isinstance(error, botocore.BotoCoreError):
        return Trouble.LASTS
    names = {f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__}
    if _POOL in names:
        return Trouble.PASSES
    return _of_postgres(error) if names & _DRIVERS else None


def _of_an_answer(error: botocore.ClientError) -> Trouble:
    if is_throttle(error) or is_server_error(error):
        return Trouble.PASSES
    return Trouble.SETTLES if error.response["Error"]["Code"] in UNSETTLED else Trouble.LASTS


def _of_postgres(error: Any) -> Trouble:
    state = getattr(error, "pgcode", None) or getattr(error, "sqlstate", None) or ""
    if state:
        if state.startswith(_LOGIN_STATE):
            return Trouble.SETTLES
        return Trouble.PASSES if state.startswith(_SERVER_STATES) else Trouble.LASTS
    said = str(error)
    if any(words in said for words in _LOGIN_WORDS):
        return Trouble.SETTLES
    return Trouble.LASTS if _ABSENT_WORDS in said else Trouble.PASSES
