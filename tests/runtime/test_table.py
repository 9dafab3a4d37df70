from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from run_isolation.errors import TableRefusedError, TableUnreachableError
from run_isolation.table import answering
from tests.runtime.test_aws import error


def failing(problem: Exception) -> Callable[[], None]:
    def call() -> None:
        with answering("dynamodb:UpdateItem", "slots"):
            raise problem

    return call


@pytest.mark.parametrize(
    "problem",
    [
        error("ThrottlingException"),
        error("InternalServerError", status=500),
        EndpointConnectionError(endpoint_url="http://127.0.0.1:1"),
        NoCredentialsError(),
    ],
)
def test_unreachable(problem: Exception) -> None:
    with pytest.raises(TableUnreachableError, match="dynamodb:UpdateItem on table slots") as caught:
        failing(problem)()

    assert caught.value.__cause__ is problem


@pytest.mark.parametrize(
    ("code", "mend"),
    [
        ("AccessDeniedException", "Allow dynamodb:UpdateItem on this table"),
        ("ResourceNotFoundException", "pulumi up"),
        ("ValidationException", "refused"),
    ],
)
def test_refused(code: str, mend: str) -> None:
    with pytest.raises(TableRefusedError, match=mend) as caught:
        failing(error(code))()

    assert caught.value.code == code


def test_a_failed_condition_is_an_answer() -> None:
    with pytest.raises(ClientError):
        failing(error("ConditionalCheckFailedException"))()


def test_errors_of_our_own_are_left_alone() -> None:
    problem: Any = KeyError("x")
    with pytest.raises(KeyError):
        failing(problem)()
