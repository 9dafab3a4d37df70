import dataclasses
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.stub import Stubber
from types_boto3_ecs import ECSClient

from run_isolation import (
    IsolatedLaunch,
    LaunchError,
    LaunchFailedError,
    Retry,
    aws,
    launch_isolated,
)
from run_isolation.errors import (
    LaunchEmptyError,
    LaunchRefusedError,
    LaunchThrottledError,
    LaunchTooLargeError,
    LaunchUnknownError,
)
from run_isolation.isolated import request, started_by
from tests.runtime.manifests import CLUSTER, MANIFEST
from tests.runtime.network import ALWAYS, Network

REVISION = "arn:aws:ecs:us-east-1:123456789012:task-definition/run-isolation-test-sales-isolated:7"
TASK = "arn:aws:ecs:us-east-1:123456789012:task/run-isolation-test/0123456789abcdef"
RUN = "3f0c3b1e-7a55-4c0e-9a3b-0a5d2b6f9c11"
LAUNCH = IsolatedLaunch(RUN, attempt=1, location="sales", task_definition=REVISION)


@pytest.fixture
def ecs(environment: None) -> ECSClient:
    return aws.ecs(MANIFEST.region)


@pytest.fixture
def answers(ecs: ECSClient) -> Iterator[Stubber]:
    """ECS's answers, checked by botocore like every request."""
    with Stubber(ecs) as stubber:
        yield stubber


def test_the_request() -> None:
    assert request(MANIFEST, LAUNCH) == {
        "cluster": CLUSTER,
        "taskDefinition": REVISION,
        "count": 1,
        "launchType": "FARGATE",
        "networkConfiguration": {
            "awsvpcConfiguration": {
                "subnets": ["subnet-1", "subnet-2"],
                "securityGroups": ["sg-1"],
                "assignPublicIp": "DISABLED",
            }
        },
        "overrides": {
            "containerOverrides": [
                {
                    "name": "dagster",
                    "environment": [
                        {"name": "RUN_ISOLATION_ATTEMPT", "value": "1"},
                        {"name": "RUN_ISOLATION_RUN_ID", "value": RUN},
                    ],
                }
            ]
        },
        # sha256 of "<run id>/<attempt>": a later release must not change it, or a launch that is
        # repeated across an update starts a second task.
        "clientToken": "4addda1d7d52da8b6c2393314adf22a51f7ad525f033e509234a2bdd06676f8b",
        "startedBy": RUN,
        "propagateTags": "TASK_DEFINITION",
        "tags": [
            {"key": "dagster/run_id", "value": RUN},
            {"key": "run_isolation/attempt", "value": "1"},
            {"key": "run_isolation/deployment", "value": "test"},
            {"key": "run_isolation/location", "value": "sales"},
        ],
    }


def test_sizes_that_the_run_asks_for() -> None:
    launch = dataclasses.replace(LAUNCH, cpu=8192, memory=32768, ephemeral_storage=100)

    overrides = request(MANIFEST, launch)["overrides"]

    # The container's sizes must follow the task's: ECS refuses one larger than its task.
    (container,) = overrides["containerOverrides"]
    assert (container["cpu"], container["memory"]) == (8192, 32768)
    assert (overrides["cpu"], overrides["memory"]) == ("8192", "32768")
    assert overrides["ephemeralStorage"] == {"sizeInGiB": 100}


def test_public_address() -> None:
    network = MANIFEST.network.model_copy(update={"assign_public_ip": True})
    manifest = MANIFEST.model_copy(update={"network": network})

    configuration = request(manifest, LAUNCH)["networkConfiguration"]["awsvpcConfiguration"]
    assert configuration["assignPublicIp"] == "ENABLED"


def test_the_token_is_of_run_and_attempt() -> None:
    def token(**change: Any) -> str:
        text: str = request(MANIFEST, dataclasses.replace(LAUNCH, **change))["clientToken"]
        return text

    tokens = {token(), token(attempt=2), token(run_id="other"), token(run_id="x" * 500)}
    assert token() == token(cpu=8192)
    assert len(tokens) == 4
    assert {len(text) for text in tokens} == {64}


@pytest.mark.parametrize(
    ("run_id", "expected"),
    [(RUN, RUN), ("run of ünal.1", "run-of--nal-1"), ("x" * 500, "x" * 128)],
)
def test_started_by(run_id: str, expected: str) -> None:
    assert started_by(run_id) == expected


def test_overrides_that_ecs_would_refuse_are_not_sent(ecs: ECSClient, answers: Stubber) -> None:
    launch = dataclasses.replace(LAUNCH, run_id="x" * 8192)

    with pytest.raises(LaunchTooLargeError, match="ECS allows 8192"):
        launch_isolated(ecs, MANIFEST, launch)


def test_one_call_that_names_its_task(ecs: ECSClient, answers: Stubber) -> None:
    answers.add_response(
        "run_task", {"tasks": [{"taskArn": TASK}], "failures": []}, request(MANIFEST, LAUNCH)
    )

    assert launch_isolated(ecs, MANIFEST, LAUNCH) == TASK
    answers.assert_no_pending_responses()


def test_lost_answer_repeats_the_very_same_request(ecs: ECSClient) -> None:
    class Body(io.BytesIO):
        def stream(self, **_: object) -> Iterator[bytes]:
            yield self.read()

    def answer(request: Any, **_: object) -> Any:
        body = json.dumps({"tasks": [{"taskArn": TASK}], "failures": []}).encode()
        return AWSResponse(request.url, 200, HTTPHeaders(), Body(body))

    network = Network(ecs)
    ecs.meta.events.register("before-send", answer)
    network.lose_answers("RunTask")

    assert launch_isolated(ecs, MANIFEST, LAUNCH) == TASK
    assert network.sent == ["RunTask", "RunTask"]
    first, second = network.bodies
    assert first == second

    network.lose_answers("RunTask", ALWAYS)
    with pytest.raises(LaunchUnknownError, match="Read timeout"):
        launch_isolated(ecs, MANIFEST, LAUNCH)


def test_conflict_adopts_the_task_that_exists(ecs: ECSClient, answers: Stubber) -> None:
    answers.add_client_error(
        "run_task", "ConflictException", modeled_fields={"resourceIds": [TASK]}
    )

    assert launch_isolated(ecs, MANIFEST, LAUNCH) == TASK


def failed(ecs: ECSClient, error: type[LaunchError]) -> LaunchError:
    with pytest.raises(error) as caught:
        launch_isolated(ecs, MANIFEST, LAUNCH)
    assert type(caught.value) is error
    assert RUN in str(caught.value)
    return caught.value


def test_conflict_without_a_task(ecs: ECSClient, answers: Stubber) -> None:
    answers.add_client_error("run_task", "ConflictException")

    assert failed(ecs, LaunchUnknownError).retry is Retry.SAME_ATTEMPT


def test_failures(ecs: ECSClient, answers: Stubber) -> None:
    reason = "Capacity is unavailable at this time. Please try again later"
    answers.add_response(
        "run_task", {"tasks": [], "failures": [{"arn": "arn:x", "reason": reason, "detail": "d"}]}
    )

    error = failed(ecs, LaunchFailedError)

    assert error.retry is Retry.NEW_ATTEMPT
    assert isinstance(error, LaunchFailedError)
    (failure,) = error.failures
    assert (failure.reason, failure.arn, failure.detail) == (reason, "arn:x", "d")
    assert reason in str(error)


def test_neither_task_nor_failure(ecs: ECSClient, answers: Stubber) -> None:
    answers.add_response("run_task", {"tasks": [], "failures": []})

    assert failed(ecs, LaunchEmptyError).retry is Retry.SAME_ATTEMPT


@pytest.mark.parametrize(
    ("code", "message", "status", "error"),
    [
        ("ThrottlingException", "Rate exceeded", 400, LaunchThrottledError),
        # dagster-io/dagster#33439
        ("InvalidParameterException", "Error: Throttling", 400, LaunchThrottledError),
        ("InvalidParameterException", "No Fargate configuration", 400, LaunchRefusedError),
        ("ClusterNotFoundException", "Cluster not found.", 400, LaunchRefusedError),
        ("ServerException", "Service unavailable", 500, LaunchUnknownError),
    ],
)
def test_errors(
    ecs: ECSClient,
    answers: Stubber,
    code: str,
    message: str,
    status: int,
    error: type[LaunchError],
) -> None:
    answers.add_client_error("run_task", code, message, http_status_code=status)

    assert message in str(failed(ecs, error))


@pytest.mark.parametrize(
    ("action", "resource"),
    [("ecs:RunTask", REVISION), ("iam:PassRole", "arn:aws:iam::123456789012:role/isolated")],
)
def test_access_denied_names_action_and_resource(
    ecs: ECSClient, answers: Stubber, action: str, resource: str
) -> None:
    message = (
        f"User: arn:aws:sts::123456789012:assumed-role/daemon/x is not authorized to perform: "
        f"{action} on resource: {resource} because no identity-based policy allows it"
    )
    answers.add_client_error("run_task", "AccessDeniedException", message, http_status_code=400)

    error = failed(ecs, LaunchRefusedError)

    assert error.retry is Retry.NEVER
    assert isinstance(error, LaunchRefusedError)
    assert (error.action, error.resource) == (action, resource)
    assert f"Allow {action} on {resource}" in str(error)
