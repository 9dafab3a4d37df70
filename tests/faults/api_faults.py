"""Faults of RunTask: what AWS does to the one call that a launch is made of."""

from __future__ import annotations

from typing import Final

from tests.faults.stage import Seen, Stage

SLOW_SECONDS: Final = 11
"""Longer than our client waits for an answer of ECS, 10 s; shorter than EcsRunLauncher's, 60 s."""


def lost_answer(stage: Stage) -> Seen:
    """RunTask is carried out, and the connection breaks before the answer."""
    stage.account.fault("lost_response", operation="RunTask")
    return stage.look(stage.submit())


def late_success(stage: Stage) -> Seen:
    """RunTask is carried out after the client has stopped waiting for it."""
    stage.account.fault("delay", operation="RunTask", seconds=SLOW_SECONDS)
    return stage.look(stage.submit())


def throttle_storm(stage: Stage) -> Seen:
    """RunTask is throttled again and again."""
    stage.account.fault("error", operation="RunTask", code="ThrottlingException", times=8)
    return stage.look(stage.submit())


def wrapped_throttle(stage: Stage) -> Seen:
    """EC2's throttling, which ECS passes on as a bad parameter."""
    stage.account.fault(
        "error",
        operation="RunTask",
        code="InvalidParameterException",
        message="Error retrieving network interface: Throttling: Rate exceeded",
        times=3,
    )
    return stage.look(stage.submit())


def no_capacity(stage: Stage) -> Seen:
    """Fargate has no capacity at first."""
    stage.account.fault("run_task_failures", times=3)
    return stage.look(stage.submit())


def empty_answer(stage: Stage) -> Seen:
    """RunTask answers with neither a task nor a failure, once."""
    stage.account.fault("run_task_failures", failures=[])
    return stage.look(stage.submit())


def access_denied(stage: Stage) -> Seen:
    """The launcher may not run tasks."""
    stage.account.fault(
        "error",
        operation="RunTask",
        code="AccessDeniedException",
        message="User: daemon is not authorized to perform: ecs:RunTask on resource: probe",
        times=None,
    )
    return stage.look(stage.submit(), tells="ecs:RunTask")
