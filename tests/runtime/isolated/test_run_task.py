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
    LaunchFailedError,
    LaunchTagsError,
    Retry,
    aws,
    launch_isolated,
)
from run_isolation.isolated import run_task_answers
from run_isolation.isolated.run_task import request, started_by
from tests.runtime.manifests import CLUSTER, INSTANCE, MANIFEST
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
                        {"name": "RUN_ISOLATION_INSTANCE", "value": INSTANCE.version},
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


def asking(attempt: int = 1, **tags: object) -> IsolatedLaunch:
    """A launch of a run with these tags below ``ecs/``."""
    texts = {
        f"ecs/{name}": value if isinstance(value, str) else json.dumps(value)
        for name, value in tags.items()
    }
    return dataclasses.replace(LAUNCH, attempt=attempt, tags=texts)


@pytest.mark.parametrize(
    ("newest", "of_definition", "told"),
    [
        ("2", "2", {"RUN_ISOLATION_INSTANCE": "2"}),
        ("2", "", {"RUN_ISOLATION_INSTANCE": "2"}),
        ("2", "1", {"RUN_ISOLATION_INSTANCE": "2", "RUN_ISOLATION_OWN_INSTANCE": "1"}),
        ("", "1", {}),
    ],
)
def test_the_task_is_told_of_the_newest_instance_and_of_its_definitions(
    newest: str, of_definition: str, told: dict[str, str]
) -> None:
    launch = dataclasses.replace(LAUNCH, instance_version=of_definition)
    manifest = MANIFEST.model_copy(update={"instance_version": newest})
    [container] = request(manifest, launch)["overrides"]["containerOverrides"]
    given = {one["name"]: one["value"] for one in container["environment"]}
    assert {name: given[name] for name in given if "INSTANCE" in name} == told


def test_sizes_that_the_run_asks_for() -> None:
    launch = asking(cpu="8192", memory="32768", ephemeral_storage="100")

    overrides = request(MANIFEST, launch)["overrides"]

    # The container's sizes must follow the task's: ECS refuses one larger than its task.
    (container,) = overrides["containerOverrides"]
    assert (container["cpu"], container["memory"]) == (8192, 32768)
    assert (overrides["cpu"], overrides["memory"]) == ("8192", "32768")
    assert overrides["ephemeralStorage"] == {"sizeInGiB": 100}


def test_overrides_of_the_task() -> None:
    roles = {"taskRoleArn": "arn:aws:iam::1:role/t", "executionRoleArn": "arn:aws:iam::1:role/e"}

    overrides = request(MANIFEST, asking(task_overrides=roles))["overrides"]

    assert overrides.items() >= roles.items()
    assert (
        overrides["containerOverrides"]
        == request(MANIFEST, LAUNCH)["overrides"]["containerOverrides"]
    )


def test_overrides_of_the_container_leave_our_environment() -> None:
    own = {
        "command": ["nice", "run-isolation", "run"],
        "environment": [{"name": "COLOR", "value": "green"}, {"name": "ZONE", "value": "eu"}],
        "memoryReservation": 512,
    }
    task = {"containerOverrides": [{"environment": [{"name": "COLOR", "value": "red"}]}]}

    overrides = request(MANIFEST, asking(container_overrides=own, task_overrides=task))["overrides"]

    assert overrides["containerOverrides"] == [
        {
            "name": "dagster",
            "command": ["nice", "run-isolation", "run"],
            "environment": [
                {"name": "COLOR", "value": "green"},
                {"name": "RUN_ISOLATION_ATTEMPT", "value": "1"},
                {"name": "RUN_ISOLATION_INSTANCE", "value": INSTANCE.version},
                {"name": "RUN_ISOLATION_RUN_ID", "value": RUN},
                {"name": "ZONE", "value": "eu"},
            ],
            "memoryReservation": 512,
        }
    ]


def test_arguments_of_the_call() -> None:
    kwargs = {
        "group": "nightly",
        "platformVersion": "1.4.0",
        "tags": [{"key": "team", "value": "a"}],
        "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-9"]}},
    }

    asked = request(MANIFEST, asking(run_task_kwargs=kwargs))
    plain = request(MANIFEST, LAUNCH)

    changed = {name for name in asked if asked[name] != plain.get(name)}
    assert changed == {"group", "networkConfiguration", "platformVersion", "tags"}
    assert asked["tags"] == [*plain["tags"], {"key": "team", "value": "a"}]  # sorted
    assert asked["networkConfiguration"]["awsvpcConfiguration"] == {
        "subnets": ["subnet-9"],
        "securityGroups": ["sg-1"],
        "assignPublicIp": "DISABLED",
    }


def test_the_job_is_told_as_ecs_run_launcher_tells_it() -> None:
    sent = request(MANIFEST, dataclasses.replace(LAUNCH, job="daily job (é)"))

    assert {"key": "dagster/job_name", "value": "daily job -é-"} in sent["tags"]
    (container,) = sent["overrides"]["containerOverrides"]
    assert {"name": "DAGSTER_RUN_JOB_NAME", "value": "daily job (é)"} in container["environment"]


def test_tags_of_the_run_that_the_deployment_propagates() -> None:
    manifest = MANIFEST.model_copy(
        update={"propagate_tags": ["team", "owner", "dagster/run_id", "absent"]}
    )
    tags = {"team": "a*" + "x" * 300, "owner": "me", "dagster/run_id": "no", "other": "o"}
    kwargs = {"tags": [{"key": "owner", "value": "you"}]}
    launch = asking(run_task_kwargs=kwargs)

    sent = request(manifest, dataclasses.replace(launch, tags={**launch.tags, **tags}))

    values = {tag["key"]: tag["value"] for tag in sent["tags"]}
    assert values["team"] == "a-" + "x" * 254
    # What was asked for by name goes before, and ours before all.
    assert (values["owner"], values["dagster/run_id"]) == ("you", RUN)
    assert values.keys().isdisjoint({"absent", "other"})


@pytest.mark.parametrize(
    ("tags", "value", "allowed"),
    [
        ([{"key": "dagster/run_id", "value": "x"}], "dagster/run_id", "which we set"),
        ([{"key": f"k{n}", "value": "v"} for n in range(47)], "47 tags", "up to 46: ECS takes 50"),
    ],
)
def test_tags_that_would_cost_ours_are_refused(
    tags: list[dict[str, str]], value: str, allowed: str
) -> None:
    with pytest.raises(LaunchTagsError) as refused:
        request(MANIFEST, asking(run_task_kwargs={"tags": tags}))

    (problem,) = refused.value.problems
    assert (problem.key, problem.value) == ("ecs/run_task_kwargs.tags", value)
    assert allowed in problem.allowed


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
    assert token() == token(tags={"ecs/cpu": "8192"})
    assert len(tokens) == 4
    assert {len(text) for text in tokens} == {64}


@pytest.mark.parametrize(
    ("run_id", "expected"),
    [(RUN, RUN), ("run of ünal.1", "run-of--nal-1"), ("x" * 500, "x" * 128)],
)
def test_started_by(run_id: str, expected: str) -> None:
    assert started_by(run_id) == expected


def test_overrides_that_ecs_would_refuse_are_not_sent(ecs: ECSClient, answers: Stubber) -> None:
    environment = [{"name": "LONG", "value": "x" * 8000}]
    launch = asking(container_overrides={"environment": environment})

    with pytest.raises(LaunchTagsError, match="characters of overrides\n  allowed: up to 8192"):
        launch_isolated(ecs, MANIFEST, launch)


def test_what_the_sdk_refuses_is_not_sent_again(ecs: ECSClient) -> None:
    launch = asking(run_task_kwargs={"volumeConfigurations": [{"name": 5}]})

    with pytest.raises(LaunchFailedError, match="nothing was sent") as failed:
        launch_isolated(ecs, MANIFEST, launch)

    assert "volumeConfigurations[0].name" in str(failed.value)
    assert failed.value.retry is Retry.NEVER


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
    with pytest.raises(LaunchFailedError, match="Read timeout") as unknown:
        launch_isolated(ecs, MANIFEST, LAUNCH)
    assert unknown.value.meaning is run_task_answers.UNKNOWN


def test_conflict_adopts_the_task_that_exists(ecs: ECSClient, answers: Stubber) -> None:
    answers.add_client_error(
        "run_task", "ConflictException", modeled_fields={"resourceIds": [TASK]}
    )

    assert launch_isolated(ecs, MANIFEST, LAUNCH) == TASK


def test_conflict_without_a_task_needs_a_new_attempt(ecs: ECSClient, answers: Stubber) -> None:
    answers.add_client_error("run_task", "ConflictException")

    assert failed(ecs).meaning is run_task_answers.CONFLICT


def failed(ecs: ECSClient) -> LaunchFailedError:
    with pytest.raises(LaunchFailedError) as caught:
        launch_isolated(ecs, MANIFEST, LAUNCH)
    assert RUN in str(caught.value)
    return caught.value


def test_failures(ecs: ECSClient, answers: Stubber) -> None:
    reason = "Capacity is unavailable at this time. Please try again later"
    answers.add_response(
        "run_task", {"tasks": [], "failures": [{"arn": "arn:x", "reason": reason, "detail": "d"}]}
    )

    error = failed(ecs)

    assert error.meaning is run_task_answers.NO_CAPACITY
    assert error.attempt == 1
    assert error.answer == f"{reason} d arn:x."


def test_a_task_counts_whatever_else_failed(ecs: ECSClient, answers: Stubber) -> None:
    answers.add_response("run_task", {"tasks": [{"taskArn": TASK}], "failures": [{"reason": "x"}]})

    assert launch_isolated(ecs, MANIFEST, LAUNCH) == TASK


def test_neither_task_nor_failure(ecs: ECSClient, answers: Stubber) -> None:
    answers.add_response("run_task", {"tasks": [], "failures": []})

    assert failed(ecs).meaning is run_task_answers.EMPTY


def test_error(ecs: ECSClient, answers: Stubber) -> None:
    answers.add_client_error("run_task", "ClusterNotFoundException", "Cluster not found.", 400)

    error = failed(ecs)

    assert error.meaning is run_task_answers.REFUSED
    assert "Cluster not found." in error.answer
    assert not error.answer.endswith("..")


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

    error = failed(ecs)

    assert error.retry is Retry.NEVER
    assert f"Allow {action} on {resource} for the caller's role." in str(error)
