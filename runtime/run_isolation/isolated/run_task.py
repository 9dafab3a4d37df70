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
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from run_isolation.errors import LaunchFailedError, LaunchTagsError
from run_isolation.instance import OWN_VERSION, VERSION
from run_isolation.isolated import ecs_wishes, run_task_answers
from run_isolation.isolated.boundaries import Boundaries
from run_isolation.isolated.ecs_tag_models import RunTaskArguments
from run_isolation.isolated.ecs_wishes import Asked
from run_isolation.isolated.task_placement import place
from run_isolation.manifest import Manifest
from run_isolation.problem import Problem
from run_isolation.retry import Meaning
from run_isolation.tag_names import ECS_PREFIX, ECS_RUN_TASK_KWARGS
from run_isolation.tasks import CONTAINER

if TYPE_CHECKING:
    from types_boto3_ecs import ECSClient

RUN_ID_VARIABLE: Final = "RUN_ISOLATION_RUN_ID"
ATTEMPT_VARIABLE: Final = "RUN_ISOLATION_ATTEMPT"
JOB_VARIABLE: Final = "DAGSTER_RUN_JOB_NAME"
"""Dagster's own launchers set it, and code reads it."""

# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html
OVERRIDES_CHARACTERS: Final = 8192
TAGS: Final = 50
_STARTED_BY_CHARACTERS: Final = 128
_NOT_FOR_STARTED_BY: Final = re.compile(r"[^A-Za-z0-9_/-]")
# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Tag.html
_NOT_FOR_TAGS: Final = re.compile(r"[^\w .:/=+@-]")


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
    tags: Mapping[str, str] = field(default_factory=dict)
    """The run's tags. Those that begin with ``ecs/`` say what it asks for."""
    job: str = ""
    """The run's job, which becomes a tag of the task, as EcsRunLauncher has it."""
    instance_version: str = ""
    """Version of the Dagster instance that the task definition was made with, where it is known."""


def started_by(run_id: str) -> str:
    """ECS's ``startedBy`` of a run's tasks: finds them by run (ListTasks)."""
    return _NOT_FOR_STARTED_BY.sub("-", run_id)[:_STARTED_BY_CHARACTERS]


def request(manifest: Manifest, launch: IsolatedLaunch) -> dict[str, Any]:
    """The RunTask request of a launch: the same for the same arguments.

    Raises:
        LaunchTagsError: The run asks for what ECS would refuse, or for what is another's.
        ForeignTaskDefinitionError: Its task definition is another code location's.
        ManifestError: The deployment has no such code location.
    """
    location = manifest.location(launch.location)
    boundaries = Boundaries.of(manifest, launch.location)
    boundaries.check_task_definition(launch.run_id, launch.task_definition)
    wish = ecs_wishes.read(launch.run_id, launch.tags, manifest, launch.location)
    arguments = wish.arguments.given()
    network = _network(manifest, wish.arguments)
    placement = place(launch.attempt, network["subnets"])
    for name in ("capacityProviderStrategy", "launchType", "networkConfiguration", "tags"):
        arguments.pop(name, None)
    return {
        **arguments,
        "cluster": manifest.cluster,
        "taskDefinition": launch.task_definition,
        "count": 1,
        **_capacity(wish.arguments, spot=location.spot, as_asked=placement.as_asked),
        "networkConfiguration": {"awsvpcConfiguration": {**network, "subnets": placement.subnets}},
        "overrides": _overrides(launch, wish, manifest.instance_version),
        "clientToken": _token(launch),
        "startedBy": started_by(launch.run_id),
        "propagateTags": "TASK_DEFINITION",
        "tags": _tags(manifest, launch, wish.arguments),
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
    except ClientError as error:
        existing: Any = error.response.get("resourceIds")
        if existing and error.response["Error"]["Code"] == "ConflictException":
            # This attempt has a task, from a request that differed: the manifest has changed.
            return str(existing[0])
        meaning = run_task_answers.meaning_of_error(error, launch.task_definition)
        raise _failed(launch, str(error), meaning) from error
    except BotoCoreError as error:
        meaning = run_task_answers.meaning_of_silence(error)
        raise _failed(launch, str(error), meaning) from error
    if response["tasks"]:
        return response["tasks"][0]["taskArn"]
    failures: list[Any] = response["failures"]
    if not failures:
        raise _failed(launch, "no tasks, no failures", run_task_answers.EMPTY)
    meaning = run_task_answers.meaning_of_failures(failures)
    raise _failed(launch, run_task_answers.failures_text(failures), meaning)


def _failed(launch: IsolatedLaunch, answer: str, meaning: Meaning) -> LaunchFailedError:
    return LaunchFailedError(
        launch.run_id, launch.attempt, f"{answer.strip().rstrip('.')}.", meaning
    )


def _token(launch: IsolatedLaunch) -> str:
    """64 characters, as many as ECS allows, whatever the run id looks like."""
    return hashlib.sha256(f"{launch.run_id}/{launch.attempt}".encode()).hexdigest()


def _network(manifest: Manifest, arguments: RunTaskArguments) -> dict[str, Any]:
    """The deployment's network, with what the run has asked for in its place."""
    network = manifest.network
    given = arguments.network_configuration
    return {
        "subnets": network.subnets,
        "securityGroups": network.security_groups,
        "assignPublicIp": "ENABLED" if network.assign_public_ip else "DISABLED",
        **(given.awsvpc_configuration.given() if given else {}),
    }


def _capacity(arguments: RunTaskArguments, *, spot: bool, as_asked: bool) -> dict[str, Any]:
    """ECS takes a launch type or a strategy, not both."""
    given = arguments.given()
    if as_asked and given.get("capacityProviderStrategy"):
        return {"capacityProviderStrategy": given["capacityProviderStrategy"]}
    if as_asked and spot and "launchType" not in given:
        return {"capacityProviderStrategy": [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]}
    return {"launchType": "FARGATE"}


def _overrides(launch: IsolatedLaunch, wish: Asked, instance_version: str) -> dict[str, Any]:
    size = {"cpu": wish.size.cpu, "memory": wish.size.memory} if wish.size else {}
    environment = {
        **({JOB_VARIABLE: launch.job} if launch.job else {}),
        **wish.container.get("environment", {}),
        ATTEMPT_VARIABLE: str(launch.attempt),
        RUN_ID_VARIABLE: launch.run_id,
        **_versions(launch, instance_version),
    }
    overrides: dict[str, Any] = {
        "containerOverrides": [
            {
                # The container has the whole task to itself, whatever its task definition says.
                **size,
                **wish.container,
                "name": CONTAINER,
                "environment": [
                    {"name": name, "value": value} for name, value in sorted(environment.items())
                ],
            }
        ],
        # ECS wants text here and numbers there.
        **{name: str(value) for name, value in size.items()},
        **wish.roles,
    }
    if wish.disk is not None:
        overrides["ephemeralStorage"] = {"sizeInGiB": wish.disk}
    # As botocore writes it: punctuation counts.
    characters = len(json.dumps(overrides))
    if characters > OVERRIDES_CHARACTERS:
        raise _one_problem(
            launch,
            f"{ECS_PREFIX}*",
            f"{characters} characters of overrides",
            f"up to {OVERRIDES_CHARACTERS}, punctuation counted; longer values belong into `env` "
            "of the stack's config",
        )
    return overrides


def _versions(launch: IsolatedLaunch, newest: str) -> dict[str, str]:
    """The newest version of the instance, and the task definition's where that is an older one."""
    if not newest:
        return {}
    older = launch.instance_version not in ("", newest)
    return {VERSION: newest} | ({OWN_VERSION: launch.instance_version} if older else {})


def _tags(
    manifest: Manifest, launch: IsolatedLaunch, arguments: RunTaskArguments
) -> list[dict[str, str]]:
    """Our own tags, which nothing replaces, those that the run asks for, and those of the run."""
    ours = {
        "dagster/run_id": launch.run_id,
        **({"dagster/job_name": launch.job} if launch.job else {}),
        "run_isolation/attempt": str(launch.attempt),
        "run_isolation/deployment": manifest.deployment,
        "run_isolation/location": launch.location,
    }
    theirs = {tag.key: tag.value for tag in arguments.tags}
    of_run = {key: launch.tags[key] for key in manifest.propagate_tags if key in launch.tags}
    key = f"{ECS_RUN_TASK_KWARGS}.tags"
    if both := sorted(ours.keys() & theirs.keys()):
        raise _one_problem(launch, key, ", ".join(both), "any keys but these, which we set")
    most = TAGS - len(ours | of_run)
    if len(theirs) > most:
        raise _one_problem(launch, key, f"{len(theirs)} tags", f"up to {most}: ECS takes {TAGS}")
    sound = {name: _NOT_FOR_TAGS.sub("-", value)[:256] for name, value in (of_run | ours).items()}
    return [{"key": name, "value": value} for name, value in sorted((sound | theirs).items())]


def _one_problem(launch: IsolatedLaunch, key: str, value: str, allowed: str) -> LaunchTagsError:
    return LaunchTagsError(launch.run_id, [Problem(key, value, allowed)])
