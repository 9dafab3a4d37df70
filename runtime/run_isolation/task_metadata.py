"""Which ECS task this process runs in, as the task metadata endpoint says.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4-fargate.html
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
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


def read(environment: Mapping[str, str] = os.environ) -> TaskMetadata | None:
    """Asks the endpoint; None outside of a task.

    Raises:
        TaskMetadataError: There is an endpoint, but no usable answer.
    """
    endpoint = environment.get(ENDPOINT_VARIABLE)
    if not endpoint:
        return None
    url = f"{endpoint}/task"
    try:
        with urlopen(url, timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310  # ECS set the URL
            task = json.load(response)
        limits = task.get("Limits", {})
        return TaskMetadata(
            task_arn=task["TaskARN"],
            address=task["Containers"][0]["Networks"][0]["IPv4Addresses"][0],
            memory_mib=limits.get("Memory"),
            vcpu=limits.get("CPU"),
        )
    except (OSError, ValueError, LookupError) as error:
        raise TaskMetadataError(url, problem=f"{error!r}.") from error
