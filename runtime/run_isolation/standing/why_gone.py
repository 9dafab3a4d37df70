"""Why a standing task is gone, in words for the person whose run was in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from run_isolation.tasks import TaskState

_MEANINGS: Final[Sequence[tuple[str, str]]] = (
    (
        "health checks",
        "its code server no longer answered its health check, so ECS replaced the container",
    ),
    (
        "OutOfMemory",
        "the container ran out of memory; launch the run isolated, or give the code location's "
        "`standing` more memory",
    ),
    (
        "ServiceSchedulerInitiated",
        "a redeploy or a smaller desired count replaced the container before the run was over",
    ),
    ("EssentialContainerExited", "its code server ended, and the run's process with it"),
    ("UserInitiated", "somebody stopped the container"),
    ("SpotInterruption", "AWS took the capacity back"),
    ("TerminationNotice", "AWS retired the container"),
)
"""Part of ECS's words, and what it means; the first that fits counts. Stop codes:
https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Task.html."""


def why_gone(state: TaskState) -> str:
    """A sentence on a standing task that has stopped, or that ECS no longer knows."""
    if state.missing:
        return f"Its standing task {state.task_arn} is not known to ECS any more."
    meaning = next(
        (meaning for part, meaning in _MEANINGS if part.lower() in state.reason.lower()), "see ECS"
    )
    return f"Its standing task {state.task_arn} has stopped: {meaning} ({state.reason})."
