"""Where outputs of runs are kept on S3, as the infrastructure tells it to tasks.

Dagster asks two environment variables which I/O manager is the default one. ``instance.io`` in the
stack config sets them to ours, and a third one to its bucket.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import urlsplit

from run_isolation.errors import OutputsError

PLACE: Final = "RUN_ISOLATION_OUTPUTS"
"""Environment variable of a task: ``s3://<bucket>/<prefix>``. Absent where outputs stay in the
container that wrote them."""

MODULE: Final = "DAGSTER_DEFAULT_IO_MANAGER_MODULE"
ATTRIBUTE: Final = "DAGSTER_DEFAULT_IO_MANAGER_ATTRIBUTE"
"""Dagster's variables (dagster/_core/definitions/job_definition.py, ``default_job_io_manager``).
They count where a job or asset has no I/O manager of its own under the key ``io_manager``."""

IO_MANAGER: Final = "run_isolation.dagster.outputs"
"""Module of ours; its attribute has the name that Dagster has for I/O managers."""


@dataclass(frozen=True)
class Place:
    """A bucket, and what all keys in it begin with."""

    bucket: str
    prefix: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"

    @classmethod
    def from_environment(cls) -> Self:
        """As this task is told.

        Raises:
            OutputsError: It is told nothing, or something else than a place on S3.
        """
        given = os.environ.get(PLACE, "")
        parts = urlsplit(given)
        if parts.scheme != "s3" or not parts.netloc:
            raise OutputsError(
                f"{PLACE}={given}",
                problem="this is no place for outputs.",
                mend="Allowed: s3://<bucket>/<prefix>, which `instance.io` in the stack config "
                f"sets. Unset {MODULE} for Dagster's own default I/O manager.",
            )
        return cls(parts.netloc, parts.path.strip("/"))


def environment(place: Place) -> dict[str, str]:
    """Environment variables of tasks whose outputs are kept there."""
    return {
        PLACE: str(place),
        MODULE: IO_MANAGER,
        ATTRIBUTE: "io_manager",
    }


def are_kept() -> bool:
    """Whether this process, or one that it starts, is to keep outputs on S3."""
    return PLACE in os.environ and os.environ.get(MODULE) == IO_MANAGER
