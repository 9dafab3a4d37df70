"""Launching an isolated run: exactly one RunTask, the same however often it is repeated.

The token is a function of run and attempt, and so is everything else in the request: ECS answers a
repeated request with the task that it has already started
(https://docs.aws.amazon.com/AmazonECS/latest/APIReference/ECS_Idempotency.html). Nothing is looked
up on the way: the manifest and the run's own task definition say it all.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from run_isolation import aws
from run_isolation.errors import (
    Failure,
    LaunchEmptyError,
    LaunchError,
    LaunchFailedError,
    LaunchRefusedError,
    LaunchThrottledError,
    LaunchTooLargeError,
    LaunchUnknownError,
)
from run_isolation.manifest import Manifest

if TYPE_CHECKING:
    from types_boto3_ecs import ECSClient

CONTAINER: Final = "dagster"
"""Name of the container in every task definition."""
RUN_ID_VARIABLE: Final = "RUN_ISOLATION_RUN_ID"
ATTEMPT_VARIABLE: Final = "RUN_ISOLATION_ATTEMPT"

# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html
_OVERRIDES_CHARACTERS: Final = 8192
_STARTED_BY_CHARACTERS: Final = 128
_NOT_FOR_STARTED_BY: Final = re.compile(r"[^A-Za-z0-9_/-]")


@dataclass(frozen=True)
class IsolatedLaunch:
    """One attempt to start a task for a run."""

    run_id: str
    attempt: int
    """Which launch of this run, counted from 1. Raise it, and store it, only when ECS said that
    there is no task (``Retry.NEW_ATTEMPT``) or the task is known to be over."""
    location: str
    task_definition: str
    """ARN with revision of the run's own isolated task definition."""
    cpu: int | None = None
    """CPU units, where the run asks for others than the task definition's."""
    memory: int | None = None
    """MiB, where the run asks for others than the task definition's."""
    ephemeral_storage: int | None = None
    """GiB of disk, where the run asks for others than the task definition's."""


def started_by(run_id: str) -> str:
    """ECS's ``startedBy`` of a run's tasks: finds them by run (ListTasks)."""
    return _NOT_FOR_STARTED_BY.sub("-", run_id)[:_STARTED_BY_CHARACTERS]


def request(manifest: Manifest, launch: IsolatedLaunch) -> dict[str, Any]:
    """The RunTask request of a launch: the same for the same arguments.

    Raises:
        LaunchTooLargeError: ECS would refuse the overrides.
    """
    network = manifest.network
    return {
        "cluster": manifest.cluster,
        "taskDefinition": launch.task_definition,
        "count": 1,
        "launchType": "FARGATE",
        "networkConfiguration": {
            "awsvpcConfiguration": {
                "subnets": network.subnets,
                "securityGroups": network.security_groups,
                "assignPublicIp": "ENABLED" if network.assign_public_ip else "DISABLED",
            }
        },
        "overrides": _overrides(launch),
        "clientToken": _token(launch),
        "startedBy": started_by(launch.run_id),
        "propagateTags": "TASK_DEFINITION",
        "tags": [
            {"key": "dagster/run_id", "value": launch.run_id[:256]},
            {"key": "run_isolation/attempt", "value": str(launch.attempt)},
            {"key": "run_isolation/deployment", "value": manifest.deployment},
            {"key": "run_isolation/location", "value": launch.location},
        ],
    }


def launch_isolated(client: ECSClient, manifest: Manifest, launch: IsolatedLaunch) -> str:
    """Starts the task of an isolated run, or finds the one that this attempt has started before.

    Returns:
        The task's ARN.

    Raises:
        LaunchError: There is no task that we know of. Its ``retry`` says what may follow.
    """
    try:
        response = client.run_task(**request(manifest, launch))
    except client.exceptions.ConflictException as error:
        # This attempt has a task already, from a request that differed (the manifest has changed).
        existing: Any = error.response.get("resourceIds")
        if not existing:
            raise LaunchUnknownError(launch.run_id, problem=f"{error}.") from error
        return str(existing[0])
    except ClientError as error:
        raise _launch_error(error, launch) from error
    except BotoCoreError as error:
        raise LaunchUnknownError(launch.run_id, problem=f"{error}.") from error
    if response["tasks"]:
        return response["tasks"][0]["taskArn"]
    if not response["failures"]:
        raise LaunchEmptyError(launch.run_id)
    failures = [
        Failure(entry.get("reason", ""), entry.get("arn", ""), entry.get("detail", ""))
        for entry in response["failures"]
    ]
    raise LaunchFailedError(launch.run_id, launch.attempt, failures)


def stop(client: ECSClient, manifest: Manifest, task_arn: str, reason: str) -> None:
    """Stops a task: SIGTERM, and SIGKILL after its stop timeout.

    Raises:
        botocore.exceptions.BotoCoreError: ECS could not be asked.
        botocore.exceptions.ClientError: ECS refused.
    """
    client.stop_task(cluster=manifest.cluster, task=task_arn, reason=reason)


def _token(launch: IsolatedLaunch) -> str:
    """64 characters, as many as ECS allows, whatever the run id looks like."""
    return hashlib.sha256(f"{launch.run_id}/{launch.attempt}".encode()).hexdigest()


def _overrides(launch: IsolatedLaunch) -> dict[str, Any]:
    sizes = {"cpu": launch.cpu, "memory": launch.memory}
    asked = {name: value for name, value in sizes.items() if value is not None}
    overrides: dict[str, Any] = {
        "containerOverrides": [
            {
                "name": CONTAINER,
                "environment": [
                    {"name": ATTEMPT_VARIABLE, "value": str(launch.attempt)},
                    {"name": RUN_ID_VARIABLE, "value": launch.run_id},
                ],
                # The container has the whole task to itself, whatever its task definition says.
                **asked,
            }
        ],
        # ECS wants text here and numbers there.
        **{name: str(value) for name, value in asked.items()},
    }
    if launch.ephemeral_storage is not None:
        overrides["ephemeralStorage"] = {"sizeInGiB": launch.ephemeral_storage}
    characters = len(json.dumps(overrides))
    if characters > _OVERRIDES_CHARACTERS:
        raise LaunchTooLargeError(launch.run_id, characters, allowed=_OVERRIDES_CHARACTERS)
    return overrides


def _launch_error(error: ClientError, launch: IsolatedLaunch) -> LaunchError:
    problem = f"{error}."
    if aws.is_throttle(error):
        return LaunchThrottledError(launch.run_id, problem)
    if aws.is_server_error(error):
        return LaunchUnknownError(launch.run_id, problem)
    action, resource = aws.denied_permission(error) or ("ecs:RunTask", launch.task_definition)
    return LaunchRefusedError(
        launch.run_id, error.response["Error"]["Code"], problem, action, resource
    )
