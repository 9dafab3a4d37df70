"""Fargate's valid sizes and ECS's limits on requests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from moto.ecs.exceptions import EcsClientException, InvalidParameterException

_GIB = 1024

#: CPU units -> allowed memory in MiB.
#: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html#fargate-tasks-size
FARGATE_SIZES: Mapping[int, tuple[int, ...]] = {
    256: (512, 1 * _GIB, 2 * _GIB),
    512: tuple(range(1 * _GIB, 4 * _GIB + 1, _GIB)),
    1024: tuple(range(2 * _GIB, 8 * _GIB + 1, _GIB)),
    2048: tuple(range(4 * _GIB, 16 * _GIB + 1, _GIB)),
    4096: tuple(range(8 * _GIB, 30 * _GIB + 1, _GIB)),
    8192: tuple(range(16 * _GIB, 60 * _GIB + 1, 4 * _GIB)),
    16384: tuple(range(32 * _GIB, 120 * _GIB + 1, 8 * _GIB)),
}

#: "A total of 8192 characters are allowed for overrides. This limit includes the JSON formatting
#: characters of the override structure."
#: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html
MAX_OVERRIDES_CHARACTERS = 8192


def cpu_units(value: str | int) -> int:
    """Return CPU units of `1024` or `1 vCPU`, as ECS accepts them."""
    text = str(value).strip().lower()
    if text.endswith("vcpu"):
        return int(float(text.removesuffix("vcpu")) * 1024)
    return int(text)


def memory_mib(value: str | int) -> int:
    """Return MiB of `2048` or `2 GB`, as ECS accepts them."""
    text = str(value).strip().lower()
    if text.endswith("gb"):
        return int(float(text.removesuffix("gb")) * _GIB)
    return int(text)


def check_size(cpu: str | int | None, memory: str | int | None) -> None:
    """Raise what ECS raises for a task size that Fargate does not have."""
    if cpu is None or memory is None:
        raise EcsClientException(
            "Fargate requires that 'cpu' and 'memory' be defined at the task level."
        )
    if memory_mib(memory) not in FARGATE_SIZES.get(cpu_units(cpu), ()):
        raise EcsClientException(
            f"No Fargate configuration exists for given values: {cpu_units(cpu)} CPU, "
            f"{memory_mib(memory)} memory. See the Amazon ECS documentation for valid values."
        )


def check_overrides(overrides: Mapping[str, Any]) -> None:
    """Raise what ECS raises when the overrides are too long."""
    length = len(json.dumps(overrides, separators=(",", ":"), ensure_ascii=False))
    if length > MAX_OVERRIDES_CHARACTERS:
        raise InvalidParameterException(
            f"Container Overrides length must be at most {MAX_OVERRIDES_CHARACTERS}"
        )


def check_execution(container: Mapping[str, Any]) -> None:
    """Raise for a container that needs an execution role, in a task that has none.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_execution_IAM_role.html
    """
    log = container.get("logConfiguration") or {}
    what = ""
    if ".dkr.ecr." in container.get("image", ""):
        what = "ECR images"
    elif log.get("logDriver") == "awslogs":
        what = "log driver awslogs"
    if what:
        raise EcsClientException(
            f"Fargate requires task definition to have execution role ARN to support {what}."
        )
