"""What a run's ``ecs/*`` tags ask of its launch: read, checked and merged, before ECS is called.

Where two tags say something about the same, the one counts that counts for EcsRunLauncher
(dagster_aws/ecs/launcher.py): ``ecs/task_overrides`` before ``ecs/cpu`` and ``ecs/memory``,
``ecs/ephemeral_storage`` before ``ecs/task_overrides``, ``ecs/container_overrides`` before all for
the container.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from run_isolation import tag_names
from run_isolation.errors import LaunchTagsError
from run_isolation.isolated.ecs_tag_models import (
    ContainerOverride,
    M,
    RunTaskArguments,
    TaskOverrides,
    parse,
)
from run_isolation.isolated.task_sizes import Number, Report, disk, size, whole_number
from run_isolation.manifest import Location, Size
from run_isolation.problem import Problem


@dataclass(frozen=True)
class Asked:
    """What a run asks for. Everything in it is something that ECS takes."""

    size: Size | None = None
    """Of the task; None for the task definition's."""
    disk: int | None = None
    """GiB; None for the task definition's."""
    roles: Mapping[str, str] = field(default_factory=dict)
    """``executionRoleArn`` and ``taskRoleArn``, where given."""
    container: Mapping[str, Any] = field(default_factory=dict)
    """Members of the container's override; ``environment`` as a mapping."""
    arguments: RunTaskArguments = field(default_factory=RunTaskArguments)


def read(run_id: str, run_tags: Mapping[str, str], location: Location) -> Asked:
    """Reads the tags of a run.

    Args:
        run_id: For the error.
        run_tags: All tags of the run; those that begin with ``ecs/`` count.
        location: Its code location.

    Raises:
        LaunchTagsError: With everything that is wrong with them.
    """
    problems: list[Problem] = []
    report = problems.append

    def json(model: type[M], tag: str) -> M:
        return parse(model, tag, run_tags.get(tag), report)

    task = json(TaskOverrides, tag_names.ECS_TASK_OVERRIDES)
    own = json(ContainerOverride, tag_names.ECS_CONTAINER_OVERRIDES)
    arguments = json(RunTaskArguments, tag_names.ECS_RUN_TASK_KWARGS)
    asked_size = _size(run_tags, task, location, report)
    container = _container([*task.container_overrides, own])
    _check_container(container, asked_size or location.isolated, report)
    asked = Asked(
        size=asked_size,
        disk=_disk(run_tags, task, report),
        roles={
            name: arn
            for name, arn in task.given().items()
            if name in ("executionRoleArn", "taskRoleArn")
        },
        container=container,
        arguments=arguments,
    )
    if problems:
        raise LaunchTagsError(run_id, problems)
    return asked


def _size(
    run_tags: Mapping[str, str], task: TaskOverrides, location: Location, report: Report
) -> Size | None:
    cpu = _number(run_tags, tag_names.ECS_CPU, "cpu", task.cpu, report)
    memory = _number(run_tags, tag_names.ECS_MEMORY, "memory", task.memory, report)
    return size(cpu, memory, location, report)


def _disk(run_tags: Mapping[str, str], task: TaskOverrides, report: Report) -> int | None:
    asked = run_tags.get(tag_names.ECS_EPHEMERAL_STORAGE)
    if asked:
        return disk(whole_number(tag_names.ECS_EPHEMERAL_STORAGE, asked, report), report)
    if task.ephemeral_storage is None:
        return None
    key = f"{tag_names.ECS_TASK_OVERRIDES}.ephemeralStorage.sizeInGiB"
    return disk(Number(key, task.ephemeral_storage.size_in_gib), report)


def _number(
    run_tags: Mapping[str, str], tag: str, name: str, in_task: int | str | None, report: Report
) -> Number | None:
    """A number of the size, from the tag of its own or from ``ecs/task_overrides``."""
    if in_task is not None:
        return whole_number(f"{tag_names.ECS_TASK_OVERRIDES}.{name}", in_task, report)
    asked = run_tags.get(tag)
    return whole_number(tag, asked, report) if asked else None


def _container(overrides: list[ContainerOverride]) -> dict[str, Any]:
    """One override of several: a later one counts, and environments are merged by name."""
    merged: dict[str, Any] = {}
    environment: dict[str, str] = {}
    for override in overrides:
        merged |= override.given()
        environment |= {variable.name: variable.value for variable in override.environment}
    return merged | {"environment": environment}


def _check_container(container: Mapping[str, Any], task: Size, report: Report) -> None:
    """ECS refuses a container that is larger than its task."""
    for name, most in (
        ("cpu", task.cpu),
        ("memory", task.memory),
        ("memoryReservation", task.memory),
    ):
        asked = container.get(name)
        if asked is not None and not 0 < asked <= most:
            key = f"{tag_names.ECS_CONTAINER_OVERRIDES}.{name}"
            report(Problem(key, str(asked), f"1 to {most}, what the task has", str(most)))
