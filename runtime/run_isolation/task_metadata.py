"""Which ECS task this process runs in, as the task metadata endpoint says.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4-fargate.html
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any, Final
from urllib.request import urlopen

from run_isolation.errors import TaskMetadataError

ENDPOINT_VARIABLE: Final = "ECS_CONTAINER_METADATA_URI_V4"
_TIMEOUT_SECONDS: Final = 5
"""The endpoint is on the same host and answers within milliseconds."""


@dataclass(frozen=True)
class TaskMetadata:
    """What a process knows of its own ECS task."""

    task_arn: str
    address: str
    """IPv4 address of the task's network interface."""
    memory_mib: int | None = None
    """The task's limit."""
    vcpu: float | None = None
    """The same for CPUs."""


def in_a_task(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this process runs in an ECS task."""
    return bool(environment.get(ENDPOINT_VARIABLE))


def read(environment: Mapping[str, str] = os.environ) -> TaskMetadata | None:
    """Asks the endpoint; None outside of a task.

    Raises:
        TaskMetadataError: There is an endpoint, but no usable answer.
    """
    if not in_a_task(environment):
        return None
    with _answer(environment) as task:
        limits = task.get("Limits", {})
        return TaskMetadata(
            task_arn=task["TaskARN"],
            address=task["Containers"][0]["Networks"][0]["IPv4Addresses"][0],
            memory_mib=limits.get("Memory"),
            vcpu=limits.get("CPU"),
        )


def own_arn(environment: Mapping[str, str] = os.environ) -> str:
    """Asks the endpoint for the ARN alone: a task has it before it has an address.

    Raises:
        TaskMetadataError: There is no usable answer.
    """
    with _answer(environment) as task:
        return str(task["TaskARN"])


@contextmanager
def _answer(environment: Mapping[str, str]) -> Iterator[Any]:
    """What the endpoint says; trouble with it, and with reading it, is one error."""
    url = f"{environment.get(ENDPOINT_VARIABLE)}/task"
    try:
        with urlopen(url, timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310  # ECS set the URL
            task = json.load(response)
        yield task
    except (OSError, HTTPException, ValueError, LookupError, TypeError, AttributeError) as error:
        raise TaskMetadataError(url, problem=f"{error!r}.") from error
