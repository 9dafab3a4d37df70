"""Every error that the core raises.

::

    RunIsolationError
    ├── ManifestError               the manifest is missing, malformed, or lacks a code location
    ├── TaskMetadataError           the task can't find out its own ARN and address
    ├── TableError                  the slot table gave no usable answer; never means "no slot"
    │   ├── TableUnreachableError   no answer in time, or throttled: may have been applied
    │   ├── TableRefusedError       AWS refused the call: not applied
    │   └── SettingsError           the deployment's settings are missing or malformed
    ├── SupersededError             a newer attempt of this run holds its slot
    ├── ClaimLostError              another task executes this run
    └── LaunchError                 RunTask gave no task; ``retry`` says what may follow
        ├── LaunchTooLargeError     the request breaks an ECS limit: not sent
        ├── LaunchRefusedError      AWS refused it: no task exists
        ├── LaunchThrottledError    too many calls: no task exists
        ├── LaunchUnknownError      no answer: a task may exist
        ├── LaunchEmptyError        an answer with neither task nor failure: a task may exist
        └── LaunchFailedError       ECS could not place the task

Catch the class that your answer to it fits: ``TableError`` where any trouble with the table means
"run it isolated", ``LaunchError`` and its ``retry`` where a launch is repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar


class RunIsolationError(Exception):
    """Root of the tree. ``str()`` of each says what happened, to what, and how to mend it."""


@dataclass(eq=False)
class ManifestError(RunIsolationError):
    """The manifest can't be used."""

    parameter: str
    """Name of the SSM parameter."""
    problem: str
    mend: str

    def __str__(self) -> str:
        return f"Manifest {self.parameter}: {self.problem} {self.mend}"


@dataclass(eq=False)
class TaskMetadataError(RunIsolationError):
    """The task metadata endpoint gave no usable answer."""

    url: str
    problem: str

    def __str__(self) -> str:
        return (
            f"The task metadata endpoint {self.url} gave no usable answer: {self.problem} "
            "ECS serves it in every Fargate task of platform version 1.4.0 or later; outside of a "
            "task unset ECS_CONTAINER_METADATA_URI_V4."
        )


class TableError(RunIsolationError):
    """The slot table gave no usable answer, so whether a slot is free is not known."""


@dataclass(eq=False)
class TableUnreachableError(TableError):
    """No answer in time, or DynamoDB throttled the call. A write may have been applied."""

    action: str
    """The IAM action, such as ``dynamodb:UpdateItem``."""
    table: str
    problem: str

    def __str__(self) -> str:
        return (
            f"{self.action} on table {self.table} got no answer: {self.problem} "
            "Check the route from this task to DynamoDB (gateway endpoint, NAT, security group)."
        )


@dataclass(eq=False)
class TableRefusedError(TableError):
    """AWS refused the call. Nothing was applied."""

    action: str
    """The IAM action, such as ``dynamodb:UpdateItem``."""
    table: str
    code: str
    """AWS's error code, such as ``AccessDeniedException``."""
    problem: str

    def __str__(self) -> str:
        mend = {
            "AccessDeniedException": f"Allow {self.action} on this table for the caller's role.",
            "ResourceNotFoundException": "Check region and account, or run `pulumi up`.",
        }.get(self.code, "")
        return (
            f"{self.action} on table {self.table} was refused ({self.code}): {self.problem} {mend}"
        ).rstrip()


@dataclass(eq=False)
class SettingsError(TableError):
    """The settings item is missing, or holds something that this version does not understand."""

    problem: str

    def __str__(self) -> str:
        return (
            f"The deployment's settings in the slot table can't be used: {self.problem} "
            "`pulumi up` writes them; nothing else should."
        )


@dataclass(eq=False)
class SupersededError(RunIsolationError):
    """An older attempt asked for the slot that a newer attempt of the same run holds."""

    run_id: str
    attempt: int
    newer_attempt: int

    def __str__(self) -> str:
        return (
            f"Attempt {self.attempt} of run {self.run_id} is out of date: attempt "
            f"{self.newer_attempt} holds the run's slot. Stop here and launch nothing."
        )


@dataclass(eq=False)
class ClaimLostError(RunIsolationError):
    """Another task has claimed this run. Exit and touch nothing."""

    run_id: str
    attempt: int
    task_arn: str
    winner_attempt: int
    winner_task_arn: str

    def __str__(self) -> str:
        return (
            f"Run {self.run_id} belongs to task {self.winner_task_arn} (attempt "
            f"{self.winner_attempt}), so task {self.task_arn} (attempt {self.attempt}) must not "
            "execute it. This task exits; nothing is lost."
        )


class Retry(StrEnum):
    """What may follow a launch that gave no task."""

    SAME_ATTEMPT = "same attempt"
    """Send the same request again: ECS answers with the task if there is one already."""
    NEW_ATTEMPT = "new attempt"
    """Raise the attempt, and store it, before trying again: ECS would replay the old failure."""
    NEVER = "never"
    """Somebody has to mend something first."""


class LaunchError(RunIsolationError):
    """RunTask gave no task."""

    retry: ClassVar[Retry]


@dataclass(eq=False)
class LaunchTooLargeError(LaunchError):
    """The request breaks a limit of ECS. Nothing was sent."""

    retry = Retry.NEVER
    run_id: str
    characters: int
    allowed: int

    def __str__(self) -> str:
        return (
            f"The overrides of run {self.run_id} take {self.characters} characters, ECS allows "
            f"{self.allowed}. Shorten what the run's tags ask for."
        )


@dataclass(eq=False)
class LaunchRefusedError(LaunchError):
    """AWS refused the request. No task exists."""

    retry = Retry.NEVER
    run_id: str
    code: str
    """AWS's error code, such as ``AccessDeniedException``."""
    problem: str
    action: str
    """The IAM action that was refused: ``ecs:RunTask``, or ``iam:PassRole`` that it needs."""
    resource: str

    def __str__(self) -> str:
        mend = (
            f"Allow {self.action} on {self.resource} for the caller's role."
            if self.code == "AccessDeniedException"
            else f"The task definition is {self.resource}."
        )
        return f"ECS refused to launch run {self.run_id} ({self.code}): {self.problem} {mend}"


@dataclass(eq=False)
class LaunchThrottledError(LaunchError):
    """Too many calls for the account. No task exists."""

    retry = Retry.SAME_ATTEMPT
    run_id: str
    problem: str

    def __str__(self) -> str:
        return (
            f"ECS throttled the launch of run {self.run_id}: {self.problem} Try the same attempt "
            "again later, or ask AWS for a higher Fargate launch rate."
        )


@dataclass(eq=False)
class LaunchUnknownError(LaunchError):
    """ECS did not answer, or failed in between. A task may exist."""

    retry = Retry.SAME_ATTEMPT
    run_id: str
    problem: str

    def __str__(self) -> str:
        return (
            f"Whether a task was started for run {self.run_id} is not known: {self.problem} "
            "Try the same attempt again: ECS answers with the task if there is one."
        )


@dataclass(eq=False)
class LaunchEmptyError(LaunchError):
    """ECS answered with neither a task nor a failure. A task may exist."""

    retry = Retry.SAME_ATTEMPT
    run_id: str

    def __str__(self) -> str:
        return (
            f"ECS answered the launch of run {self.run_id} with neither a task nor a failure. "
            "Try the same attempt again: ECS answers with the task if there is one."
        )


@dataclass(frozen=True)
class Failure:
    """One entry of RunTask's ``failures``."""

    reason: str
    arn: str = ""
    detail: str = ""

    def __str__(self) -> str:
        return " ".join(part for part in (self.reason, self.detail, self.arn) if part)


@dataclass(eq=False)
class LaunchFailedError(LaunchError):
    """ECS accepted the request and could not place the task, for want of capacity most of all."""

    retry = Retry.NEW_ATTEMPT
    run_id: str
    attempt: int
    failures: Sequence[Failure]

    def __str__(self) -> str:
        reasons = "; ".join(str(failure) for failure in self.failures)
        return (
            f"ECS could not start a task for attempt {self.attempt} of run {self.run_id}: "
            f"{reasons}. Try again with a new attempt: this one would get the same answer."
        )
