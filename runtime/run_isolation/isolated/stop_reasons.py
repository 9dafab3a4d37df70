"""Why tasks stop: what passes by itself, and what somebody has to mend.

Mostly ECS has no code for it, only words. These are the ones that it is known to use
(https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html;
``is_transient_task_stopped_reason`` in dagster_aws/ecs/utils.py), as regular expressions that
ignore case. What is on no list has to be mended: better a run that fails and says why than one that
is tried again and again.
"""

from __future__ import annotations

import re
from typing import Final

from run_isolation.tasks import TaskState

NOT_CLAIMED: Final = 4
"""Exit code of a worker that could not get ready: something that it needs did not answer."""

KILLED: Final = 137
"""Exit code of a container that SIGKILL ended: 128 + 9."""

TRANSIENT_STOP_CODES: Final = frozenset(
    {
        "SpotInterruption",
        "TerminationNotice",  # Fargate retires what the task runs on.
        "InfrastructureHealth",
    }
)
"""https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Task.html, stopCode."""

PERMANENT_REASONS: Final = (
    r"not ?found",
    r"does not exist|doesn't exist|can't find",
    r"manifest unknown|no matching manifest|exec format error",
    r"access ?denied|not authorized|unauthorized|no basic auth credentials",
    r"marked for deletion|did not contain json key",
)
"""What has to be mended. These come first: a text that ends with "not found" may also speak of its
retries."""

TRANSIENT_REASONS: Final = (
    r"capacity is unavailable",
    r"spot task was interrupted",
    r"timeout waiting for (network interface|ephemeralstorage) provisioning",
    r"unexpected ec2 error while attempting to create network interface",
    r"insufficientfreeaddressesinsubnet",
    r"task provisioning failed",
    r"service discovery instance could not be registered",
    r"throttl|rate exceeded|too ?many ?requests|pull rate limit|limitexceeded",
    # Of an image, its registry, secrets, logs: what the network or the other side did once.
    r"(cannotpull\w*|resourceinitialization)error.*"
    r"(time(d )?out|deadline exceeded|connection re(set|fused)|\beof\b|invalid argument"
    r"|internal ?server ?error|status.*\b50\d\b)",
    r"dockertimeouterror|cannotcreatecontainererror.*time(d )?out",
    r"agent.*(disconnected|time(d )?out|unavailable)",
    r"internal ?error",
)
"""What passes by itself, or is worth two tries more."""

_PERMANENT: Final = re.compile("|".join(PERMANENT_REASONS), re.IGNORECASE | re.DOTALL)
_TRANSIENT: Final = re.compile("|".join(TRANSIENT_REASONS), re.IGNORECASE | re.DOTALL)


def passes_by_itself(state: TaskState) -> bool:
    """Whether a task that stopped before its run began is worth another attempt."""
    if state.exit_code == NOT_CLAIMED or state.stop_code in TRANSIENT_STOP_CODES:
        return True
    if state.exit_code is not None or out_of_memory(state):
        # The program ran and ended. It would do so again.
        return False
    said = _said(state)
    return bool(_TRANSIENT.search(said)) and not _PERMANENT.search(said)


def out_of_memory(state: TaskState) -> bool:
    """Whether ECS says so. Exit code 137 alone is also a SIGKILL for another reason."""
    return "outofmemory" in _said(state).lower()


def advice(state: TaskState, location: str) -> str:
    """What to do about a task's end, as sentences; empty where its reason says enough."""
    config = f"run-isolation:codeLocations.{location}"
    if out_of_memory(state):
        return (
            "The run needs more memory than its task has. Launch it again with tag ecs/memory "
            "(MiB), or give every isolated run of its code location more: "
            f"{config}.isolated.memory in the stack config."
        )
    if state.exit_code == KILLED:
        return (
            "137 is SIGKILL: memory that ran out without ECS noticing, or a task that was still "
            "there when the time after its SIGTERM was up. For more memory use tag ecs/memory, or "
            f"{config}.isolated.memory in the stack config."
        )
    if state.exit_code == 0:
        return "Exit code 0 is no success here: the run had not ended."
    if state.stopped and state.exit_code is None:
        return _advice_before_start(_said(state).lower(), config)
    return ""


def _advice_before_start(said: str, config: str) -> str:
    if "cannotpull" in said:
        return f"Check {config}.image and the registry; the execution role must be able to pull it."
    if "secret" in said:
        return f"Check {config}.secrets and the database's secret, and the network's way to them."
    return ""


def _said(state: TaskState) -> str:
    return f"{state.stopped_reason} {state.container_reason}"
