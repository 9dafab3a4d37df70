"""What became of the runs that `make up` launched."""

from __future__ import annotations

from pydantic import BaseModel


class Launched(BaseModel):
    """A run that has ended, as Dagster's storage tells."""

    run_id: str
    location: str
    job: str
    why: str
    kind: str
    reason: str
    task: str
    """ARN of the task that executed it."""
    status: str
    seconds_to_start: float | None
    """From the launch to RUN_START."""


class Placed(BaseModel):
    """A run, the task that executed it, and what is wrong with that, if anything."""

    run: Launched
    task_definition: str = ""
    """Family and revision."""
    cpu: int | None = None
    """CPU units."""
    memory: int | None = None
    """MiB."""
    faults: list[str]
