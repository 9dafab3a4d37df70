"""What EcsRunLauncher's tags ask for, as JSON: which keys they have, and what each may hold.

The keys are those of ECS's API: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_TaskOverride.html,
API_ContainerOverride.html and API_RunTask.html, without those in ``NOT_ASKED``.
"""

from __future__ import annotations

import ast
import json
import re
from difflib import get_close_matches
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails, PydanticCustomError

from run_isolation.isolated.task_sizes import Report
from run_isolation.problem import Problem

RESERVED_ENVIRONMENT: Final = "RUN_ISOLATION_"
"""Variables that begin so are ours."""

_COMMAND: Final = "run-isolation run"

NOT_ASKED: Final = {
    "clientToken": "it is made of run and attempt, so that a repeated launch finds its task",
    "cluster": "the run's task is found, and allowed by IAM, in the deployment's cluster only",
    "count": "a run has one task",
    "enableExecuteCommand": "the launcher's policy allows no shells in the tasks of runs",
    "inferenceAcceleratorOverrides": "Fargate has no accelerators",
    "overrides": "the tags ecs/task_overrides and ecs/container_overrides are for that",
    "placementConstraints": "Fargate places tasks by itself",
    "placementStrategy": "Fargate places tasks by itself",
    "propagateTags": "the tags of the task definition reach every task",
    "resourceRequirements": "Fargate has neither GPUs nor accelerators",
    "startedBy": "it holds the run's id, by which its tasks are found",
    "taskDefinition": "the run executes the revision that its code server had when it was created",
}
"""Keys of the API that a run can't ask for, and why."""


def _allowed_only(allowed: str) -> PydanticCustomError:
    return PydanticCustomError("refused", "refused", {"allowed": allowed})


def _variable(name: str) -> str:
    if name.startswith(RESERVED_ENVIRONMENT):
        raise _allowed_only(f"any name but {RESERVED_ENVIRONMENT}*, which the run's task needs")
    return name


def _command(command: list[str]) -> list[str]:
    if _COMMAND not in " ".join(command):
        raise _allowed_only(f"a command that ends in `{_COMMAND}`, which executes the run")
    return command


def _shaped(pattern: str, allowed: str) -> AfterValidator:
    shape = re.compile(pattern)

    def check(value: str) -> str:
        if not shape.fullmatch(value):
            raise _allowed_only(allowed)
        return value

    return AfterValidator(check)


# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Tag.html
TagKey = Annotated[
    str,
    _shaped(
        r"(?!(?i:aws):)[\w .:/=+@-]{1,128}",
        "1 to 128 letters, digits, spaces and _.:/=+-@, not from aws: on",
    ),
]
TagValue = Annotated[
    str, _shaped(r"[\w .:/=+@-]{0,256}", "up to 256 letters, digits, spaces and _.:/=+-@")
]


class _Part(BaseModel):
    """Keys as ECS spells them, nothing unknown, nothing converted silently."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        strict=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    def given(self) -> dict[str, Any]:
        """What was given, as ECS takes it."""
        return self.model_dump(by_alias=True, exclude_none=True, exclude_unset=True)


class Variable(_Part):
    """An environment variable."""

    name: Annotated[str, AfterValidator(_variable)]
    value: str


class EnvironmentFile(_Part):
    """A file of environment variables in S3."""

    type: Literal["s3"]
    value: str


class ContainerOverride(_Part):
    """``ecs/container_overrides``."""

    name: Literal["dagster"] = "dagster"
    command: Annotated[list[str], AfterValidator(_command)] | None = None
    environment: list[Variable] = Field(default_factory=list)
    environment_files: list[EnvironmentFile] | None = None
    cpu: int | None = None
    memory: int | None = None
    memory_reservation: int | None = None


class EphemeralStorage(_Part):
    """Disk."""

    size_in_gib: int = Field(alias="sizeInGiB")


class TaskOverrides(_Part):
    """``ecs/task_overrides``."""

    cpu: int | str | None = None
    memory: int | str | None = None
    ephemeral_storage: EphemeralStorage | None = None
    execution_role_arn: str | None = None
    task_role_arn: str | None = None
    container_overrides: list[ContainerOverride] = Field(default_factory=list)


class Provider(_Part):
    """One capacity provider of a strategy."""

    capacity_provider: Literal["FARGATE", "FARGATE_SPOT"]
    weight: int | None = None
    base: int | None = None


class Vpc(_Part):
    """Where the task's network interface is."""

    subnets: list[str] | None = Field(None, min_length=1)
    security_groups: list[str] | None = None
    assign_public_ip: Literal["ENABLED", "DISABLED"] | None = None


class NetworkConfiguration(_Part):
    """The only one that Fargate has."""

    awsvpc_configuration: Vpc = Vpc()


class Tag(_Part):
    """A tag of the task."""

    key: TagKey
    value: TagValue = ""


class RunTaskArguments(_Part):
    """``ecs/run_task_kwargs``."""

    capacity_provider_strategy: list[Provider] | None = None
    enable_ecs_managed_tags: bool | None = Field(None, alias="enableECSManagedTags")
    group: str | None = None
    launch_type: Literal["FARGATE"] | None = None
    network_configuration: NetworkConfiguration | None = None
    platform_version: str | None = None
    reference_id: str | None = None
    tags: list[Tag] = Field(default_factory=list)
    volume_configurations: list[dict[str, Any]] | None = None


M = TypeVar("M", bound=_Part)


def parse(model: type[M], tag: str, text: str | None, report: Report) -> M:
    """A tag's value, typed; with nothing in it where it is missing or wrong.

    Args:
        model: What the tag holds.
        tag: Its name.
        text: Its value.
        report: Called with everything that is wrong.
    """
    if not text:
        return model()
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        for details in error.errors(include_url=False):
            report(_problem(tag, model, text, details))
        return model()


def _problem(tag: str, model: type[_Part], text: str, details: ErrorDetails) -> Problem:
    key = ".".join(map(str, (tag, *details["loc"])))
    value = json.dumps(details["input"], ensure_ascii=False, default=str)
    name = str(details["loc"][-1]) if details["loc"] else ""
    nearest = None
    if details["type"] == "json_invalid":
        value, nearest = text, _as_json(text)
        allowed = f"a JSON object; {details['ctx']['error']}"
    elif details["type"] == "extra_forbidden":
        keys = [field.alias or "" for field in model.model_fields.values()]
        close = get_close_matches(name, keys, n=1)
        nearest = close[0] if close and len(details["loc"]) == 1 else None
        allowed = "no key that ECS does not have here"
        if name in NOT_ASKED:
            allowed, nearest = f"nothing: {NOT_ASKED[name]}", None
    else:
        said = details["msg"].removeprefix("Input should be ")
        allowed = details.get("ctx", {}).get("allowed", said)
    return Problem(key, _short(value), allowed, nearest)


def _as_json(text: str) -> str | None:
    """JSON for what was written as Python, with single quotes most of all."""
    try:
        return json.dumps(ast.literal_eval(text))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _short(text: str, most: int = 200) -> str:
    return text if len(text) <= most else f"{text[:most]}…"
