"""Each error of each service that is known to come, and what is to be thought of it."""

from __future__ import annotations

import errno
import socket
from http.client import BadStatusLine, RemoteDisconnected
from typing import Any
from urllib.error import HTTPError, URLError

import psycopg2
import psycopg2.errors
import pytest
import sqlalchemy.exc
from botocore import exceptions as botocore
from botocore.exceptions import ClientError
from dagster_postgres.utils import DagsterPostgresException

from run_isolation import passing_trouble
from run_isolation.errors import (
    InstanceError,
    ManifestError,
    SecretError,
    SettingsError,
    TableRefusedError,
    TableUnreachableError,
    TaskMetadataError,
)
from run_isolation.passing_trouble import Trouble, classify, may_pass

PASSES, SETTLES, LASTS = Trouble.PASSES, Trouble.SETTLES, Trouble.LASTS


def answer(code: str, status: int = 400) -> ClientError:
    response: Any = {
        "Error": {"Code": code, "Message": "."},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(response, "Any")


def caused(error: Exception, cause: Exception) -> Exception:
    """As `raise error from cause` leaves it."""
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("code", "status", "trouble"),
    [
        ("ThrottlingException", 400, PASSES),
        ("ProvisionedThroughputExceededException", 400, PASSES),
        ("RequestLimitExceeded", 503, PASSES),
        ("SlowDown", 503, PASSES),
        ("InternalServerError", 500, PASSES),
        ("ServiceUnavailable", 503, PASSES),
        ("AccessDenied", 403, SETTLES),
        ("AccessDeniedException", 400, SETTLES),
        ("ParameterNotFound", 400, SETTLES),
        ("ResourceNotFoundException", 400, SETTLES),
        ("UnrecognizedClientException", 400, SETTLES),
        ("ExpiredTokenException", 400, SETTLES),
        ("ValidationException", 400, LASTS),
        ("InvalidParameterException", 400, LASTS),
    ],
)
def test_an_answer_of_aws(code: str, status: int, trouble: Trouble) -> None:
    assert classify(answer(code, status)) is trouble
    problem = "it can't be read."
    for wrapped in (
        ManifestError("/p", problem, "Mend."),
        SecretError("arn", problem, "Mend."),
        TableRefusedError("dynamodb:PutItem", "t", code, problem),
    ):
        assert classify(caused(wrapped, answer(code, status))) is trouble


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (botocore.ReadTimeoutError(endpoint_url="x"), PASSES),
        (botocore.ConnectTimeoutError(endpoint_url="x"), PASSES),
        (botocore.EndpointConnectionError(endpoint_url="x"), PASSES),
        (botocore.ConnectionClosedError(endpoint_url="x"), PASSES),
        (botocore.CredentialRetrievalError(provider="x", error_msg="x"), PASSES),
        (botocore.NoCredentialsError(), PASSES),
        (botocore.NoRegionError(), LASTS),
        (botocore.ParamValidationError(report="x"), LASTS),
    ],
)
def test_no_answer_of_aws(error: botocore.BotoCoreError, trouble: Trouble) -> None:
    assert classify(error) is trouble
    assert classify(caused(ManifestError("/p", ".", "."), error)) is trouble


def http(code: int) -> HTTPError:
    return HTTPError("http://x", code, "", {}, None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (http(503), PASSES),
        (http(429), PASSES),
        (http(404), LASTS),
        (URLError(ConnectionRefusedError(errno.ECONNREFUSED, "refused")), PASSES),
        (
            URLError(socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")),
            PASSES,
        ),
        (URLError("unknown url type"), LASTS),
        (TimeoutError(), PASSES),
        (RemoteDisconnected(""), PASSES),
        (BadStatusLine(""), PASSES),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), PASSES),
        (OSError(errno.ENOSPC, "No space left on device"), LASTS),
        (PermissionError(errno.EACCES, "Permission denied"), LASTS),
    ],
)
def test_a_connection(error: Exception, trouble: Trouble) -> None:
    assert classify(error) is trouble


def refused_by_the_server() -> psycopg2.OperationalError:
    with pytest.raises(psycopg2.OperationalError) as refused:
        psycopg2.connect("host=127.0.0.1 port=1 dbname=x")
    return refused.value


def unknown_name() -> psycopg2.OperationalError:
    with pytest.raises(psycopg2.OperationalError) as unknown:
        psycopg2.connect("host=nowhere.invalid dbname=x")
    return unknown.value


def fatal(text: str) -> psycopg2.OperationalError:
    """As psycopg2 has what Postgres says before there is a connection: no SQLSTATE."""
    return psycopg2.OperationalError(
        f'connection to server at "x", port 5432 failed: FATAL:  {text}'
    )


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (refused_by_the_server(), PASSES),
        (unknown_name(), PASSES),
        (fatal("the database system is starting up"), PASSES),
        (fatal("sorry, too many clients already"), PASSES),
        (fatal('password authentication failed for user "dagster"'), SETTLES),
        (fatal("no pg_hba.conf entry for host"), SETTLES),
        (fatal('database "dagster" does not exist'), LASTS),
        (psycopg2.errors.AdminShutdown("terminating connection"), PASSES),
        (psycopg2.InterfaceError("connection already closed"), PASSES),
        (psycopg2.errors.UndefinedTable("relation does not exist"), LASTS),
        (psycopg2.errors.UniqueViolation("duplicate key"), LASTS),
    ],
)
def test_postgres(error: Exception, trouble: Trouble) -> None:
    assert classify(error) is trouble
    statement = caused(sqlalchemy.exc.OperationalError("SELECT", {}, error), error)
    assert classify(statement) is trouble
    given_up = DagsterPostgresException("too many retries for DB connection")
    assert classify(caused(given_up, statement)) is trouble


def test_a_state_that_postgres_names() -> None:
    def error(state: str) -> Exception:
        """The driver's class is compiled: what it reads from the server can't be set."""
        kind = type("Error", (psycopg2.OperationalError,), {"pgcode": state})
        made: Exception = kind()
        return made

    troubles = [classify(error(state)) for state in ("57P01", "28P01", "XX001")]
    assert troubles == [PASSES, SETTLES, LASTS]
    assert classify(sqlalchemy.exc.TimeoutError("QueuePool limit")) is PASSES


def test_what_is_ours() -> None:
    assert classify(TaskMetadataError("http://x", "no.")) is PASSES
    assert classify(TableUnreachableError("dynamodb:GetItem", "t", "no.")) is PASSES
    assert classify(SettingsError("no.")) is LASTS
    assert classify(InstanceError("1", "no.", "Mend.")) is LASTS
    assert classify(ManifestError("/p", "it has no code location 'x'.", "Mend.")) is LASTS


def test_what_nobody_knows_lasts_whatever_it_was_raised_beside() -> None:
    mistake = KeyError("of the program")
    mistake.__context__ = botocore.NoCredentialsError()
    assert not may_pass(mistake)


def test_throttles_and_server_errors() -> None:
    assert passing_trouble.is_throttle(answer("ThrottlingException"))
    assert not passing_trouble.is_throttle(answer("AccessDeniedException"))
    assert passing_trouble.is_server_error(answer("InternalServerError", 500))
    assert not passing_trouble.is_server_error(answer("ValidationException"))
