"""Each answer of ECS that the documentation or a user's report has, and what it means."""

from typing import Any

import pytest
from botocore import exceptions as botocore

from run_isolation import ManifestError, Retry
from run_isolation.isolated import run_task_answers
from run_isolation.isolated.run_task_answers import (
    CONFLICT,
    DENIED,
    ERRORS,
    FAILURES,
    MALFORMED,
    NO_CAPACITY,
    NOT_TO_BE_FOUND,
    QUOTA,
    REFUSED,
    THROTTLED,
    UNKNOWN,
    UNPREPARED,
    UNSENT,
    UNSETTLED,
    meaning_before_the_call,
    meaning_of_error,
    meaning_of_failures,
    meaning_of_silence,
)
from run_isolation.retry import Meaning

REVISION = "arn:aws:ecs:us-east-1:123456789012:task-definition/sales:7"
# AWS writes a curly apostrophe.
VCPUS = "You\u2019ve reached the limit on the number of vCPUs you can run concurrently"


def error(code: str, message: str = "", status: int = 400) -> botocore.ClientError:
    response: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return botocore.ClientError(response, "RunTask")


@pytest.mark.parametrize(
    ("code", "message", "status", "meaning"),
    [
        ("ThrottlingException", "Rate exceeded", 400, THROTTLED),
        ("Throttling", "Rate exceeded", 400, THROTTLED),
        ("RequestLimitExceeded", "Request limit exceeded.", 503, THROTTLED),
        # dagster-io/dagster#33439
        ("InvalidParameterException", "Error: Throttling", 400, THROTTLED),
        # dask/dask-cloudprovider#56
        (
            "InvalidParameterException",
            "Error retrieving security group information for [sg-1]: Request limit exceeded. "
            "(ErrorCode: RequestLimitExceeded)",
            400,
            THROTTLED,
        ),
        ("InvalidParameterException", "No Fargate configuration exists", 400, REFUSED),
        ("ClientException", f"{VCPUS}.", 400, QUOTA),
        ("ThrottlingException", f"{VCPUS}.", 400, QUOTA),
        ("ServerException", "Service unavailable", 500, UNKNOWN),
        ("InternalFailure", "", 500, UNKNOWN),
        ("503", "Slow down", 503, UNKNOWN),
        ("ConflictException", "token", 400, CONFLICT),
        ("ClusterNotFoundException", "Cluster not found.", 400, REFUSED),
        ("PlatformTaskDefinitionIncompatibilityException", "", 400, REFUSED),
        ("ClientException", "TaskDefinition is inactive", 400, REFUSED),
        ("BlockedException", "Your account was blocked", 400, REFUSED),
        ("ClientException", "TaskDefinition not found.", 400, UNSETTLED),
        ("ClientException", "ECS was unable to assume the role 'r' that", 400, UNSETTLED),
        ("SomethingNew", "Throttling", 400, REFUSED),
    ],
)
def test_errors(code: str, message: str, status: int, meaning: Meaning) -> None:
    assert meaning_of_error(error(code, message, status), REVISION) is meaning


def test_a_denial_names_what_was_denied() -> None:
    text = "User: u is not authorized to perform: iam:PassRole on resource: arn:role"

    meaning = meaning_of_error(error("AccessDeniedException", text), REVISION)

    assert (meaning.says, meaning.retry) == (DENIED.says, Retry.NEVER)
    assert "Allow iam:PassRole on arn:role for the caller's role." in meaning.mend
    meaning = meaning_of_error(error("AccessDeniedException", "Denied."), REVISION)
    assert f"Allow ecs:RunTask on {REVISION}" in meaning.mend


@pytest.mark.parametrize(
    ("reason", "meaning"),
    [
        ("Capacity is unavailable at this time. Please try again later", NO_CAPACITY),
        ("CAPACITY IS UNAVAILABLE AT THIS TIME", NO_CAPACITY),
        ("RESOURCE:MEMORY", NO_CAPACITY),
        ("RESOURCE:ENI", NO_CAPACITY),
        ("agent", NO_CAPACITY),
        ("Internal error", NO_CAPACITY),
        (VCPUS, QUOTA),
        ("You've reached the limit on the number of vCPUs you can run concurrently", QUOTA),
        ("ATTRIBUTE", REFUSED),
        ("LOCATION", REFUSED),
        ("The requested CPU configuration is above your limit", REFUSED),
        ("no AGENT", REFUSED),
        ("", REFUSED),
    ],
)
def test_failures(reason: str, meaning: Meaning) -> None:
    assert meaning_of_failures([{"reason": reason}]) is meaning


def test_a_failure_is_known_by_its_detail_too() -> None:
    assert meaning_of_failures([{"reason": "X", "detail": VCPUS}]) is QUOTA


def test_one_final_failure_makes_all_final() -> None:
    assert meaning_of_failures([{"reason": "AGENT"}, {"reason": "ATTRIBUTE"}]) is REFUSED
    assert meaning_of_failures([{"reason": "AGENT"}, {"reason": VCPUS}]) is QUOTA


@pytest.mark.parametrize(
    ("silence", "meaning"),
    [
        (botocore.ReadTimeoutError(endpoint_url="x"), UNKNOWN),
        (botocore.ConnectTimeoutError(endpoint_url="x"), UNKNOWN),
        (botocore.EndpointConnectionError(endpoint_url="x"), UNKNOWN),
        (botocore.ConnectionClosedError(endpoint_url="x"), UNKNOWN),
        (botocore.CredentialRetrievalError(provider="x", error_msg="x"), UNSENT),
        (botocore.NoCredentialsError(), UNSENT),
        (botocore.NoRegionError(), MALFORMED),
        (botocore.ParamValidationError(report="x"), MALFORMED),
    ],
)
def test_silence(silence: botocore.BotoCoreError, meaning: Meaning) -> None:
    assert meaning_of_silence(silence) is meaning


@pytest.mark.parametrize(
    ("cause", "meaning"),
    [
        (error("ThrottlingException"), UNPREPARED),
        (error("InternalServerError", status=500), UNPREPARED),
        (botocore.ConnectTimeoutError(endpoint_url="x"), UNPREPARED),
        (botocore.CredentialRetrievalError(provider="x", error_msg="x"), UNPREPARED),
        (error("AccessDeniedException"), NOT_TO_BE_FOUND),
        (error("ParameterNotFound"), NOT_TO_BE_FOUND),
        (error("ValidationException"), None),
    ],
)
def test_trouble_before_the_call(cause: Exception, meaning: Meaning | None) -> None:
    trouble = ManifestError("/p", "it can't be read.", "Mend.")
    trouble.__cause__ = cause
    assert meaning_before_the_call(trouble) is meaning


def test_only_where_the_answer_is_lost_there_may_be_a_task() -> None:
    meanings = [each for each in vars(run_task_answers).values() if isinstance(each, Meaning)]
    assert len(meanings) == 13
    assert [each for each in meanings if each.may_have_started] == [UNKNOWN]
    assert all(each.retry is Retry.NEW_ATTEMPT for each in meanings if each.elsewhere)
    assert {each.may_pass for each in (REFUSED, MALFORMED)} == {False}
    assert {each.may_pass for each in (DENIED, UNSETTLED, QUOTA, UNKNOWN)} == {True}
    assert all(row.starts and row.has for row in (*ERRORS, *FAILURES))
