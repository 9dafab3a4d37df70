from typing import Any

import pytest
from botocore.exceptions import ClientError

from run_isolation import aws


@pytest.mark.parametrize("service", ["cloud_map", "dynamodb", "ecs", "ssm"])
def test_every_client_has_its_deadline(service: str) -> None:
    client = getattr(aws, service)("eu-west-1")
    config = client.meta.config
    deadline = aws.DEADLINES[client.meta.service_model.service_name]

    assert config.connect_timeout == deadline.connect_seconds
    assert config.read_timeout == deadline.read_seconds
    assert config.retries["mode"] == "standard"
    assert config.retries["total_max_attempts"] == deadline.attempts


def test_worst_case() -> None:
    # Three tries of 3 seconds, pauses of 1 and 2 between them.
    assert aws.Deadline(connect_seconds=1, read_seconds=2, attempts=3).worst_seconds == 12


def test_region_is_the_given_one_else_that_of_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-central-1")

    assert aws.ssm().meta.region_name == "eu-central-1"
    assert aws.ecs("eu-west-1").meta.region_name == "eu-west-1"


def test_endpoint_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")

    assert aws.dynamodb("eu-west-1").meta.endpoint_url == "http://127.0.0.1:1"


def error(code: str, message: str = "", status: int = 400) -> ClientError:
    response: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(response, "RunTask")


@pytest.mark.parametrize(
    ("code", "message", "throttle"),
    [
        ("ThrottlingException", "", True),
        ("ProvisionedThroughputExceededException", "", True),
        ("InvalidParameterException", "Throttling of EC2", False),
        ("AccessDeniedException", "Throttling", False),
    ],
)
def test_throttles(code: str, message: str, throttle: bool) -> None:
    assert aws.is_throttle(error(code, message)) is throttle


def test_server_errors() -> None:
    assert aws.is_server_error(error("InternalServerError", status=500))
    assert not aws.is_server_error(error("ValidationException"))


def test_denied_permission() -> None:
    message = "User: u is not authorized to perform: ecs:RunTask"

    assert aws.denied_permission(error("AccessDeniedException", f"{message} on resource: r")) == (
        "ecs:RunTask",
        "r",
    )
    assert aws.denied_permission(error("AccessDeniedException", message)) == ("ecs:RunTask", "*")
    assert aws.denied_permission(error("AccessDeniedException", "Token expired")) is None
