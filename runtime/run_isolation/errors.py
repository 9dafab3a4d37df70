"""Every error that the core raises.

::

    RunIsolationError
    ├── ManifestError               the manifest is missing, malformed, or lacks a code location
    ├── InstanceError               a version of the Dagster instance can't be used
    ├── SecretError                 the value of a secret can't be read
    ├── DatabaseError               what is known of the database is not enough to log in
    ├── OutputsError                an output of a run can't be kept, or read
    │   └── OutputMissingError      nobody has kept it where it is looked for
    ├── TaskMetadataError           the task can't find out its own ARN and address
    ├── ProtectionError             ECS did not begin, renew or end the protection of the task
    ├── DrainingError               this server starts no more runs: ask another one
    ├── StartRefusedError           this server does not start the run
    ├── StartUnfinishedError        this server is starting the run: ask again
    ├── TableError                  the slot table gave no usable answer; never means "no slot"
    │   ├── TableUnreachableError   no answer in time, or throttled: may have been applied
    │   ├── TableRefusedError       AWS refused the call: not applied
    │   ├── SettingsError           the deployment's settings are missing or malformed
    │   └── HolderError             a holder of a slot is not what any process of ours writes
    ├── SupersededError             a newer attempt of this run holds its slot
    ├── ClaimLostError              another task executes this run
    └── LaunchError             there is no task for a run; ``retry`` says what may follow
        ├── LaunchTagsError     the run's tags ask for what it can't have: ECS was not asked
        ├── ForeignTaskDefinitionError  nor was it here: it is another code location's
        └── LaunchFailedError   RunTask gave no task

Catch the class that your answer to it fits: ``TableError`` where any trouble with the table means
"run it isolated", ``LaunchError`` and its ``retry`` where a launch is repeated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from run_isolation.problem import Problem
from run_isolation.retry import Meaning, Retry


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
class InstanceError(RunIsolationError):
    """A version of the deployment's Dagster instance can't be used."""

    version: str
    problem: str
    mend: str

    def __str__(self) -> str:
        return f"Dagster instance, version {self.version}: {self.problem} {self.mend}"


@dataclass(eq=False)
class SecretError(RunIsolationError):
    """The value of a secret can't be read."""

    arn: str
    """Of a secret or an SSM parameter, as in a task definition."""
    problem: str
    mend: str

    def __str__(self) -> str:
        return f"Secret {self.arn}: {self.problem} {self.mend}"


@dataclass(eq=False)
class DatabaseError(RunIsolationError):
    """What is known of the instance's database is not enough to log in."""

    source: str
    """Where it was looked for: a secret's ARN, an environment variable, the config of storage."""
    problem: str
    mend: str

    def __str__(self) -> str:
        return f"Database of the Dagster instance, {self.source}: {self.problem} {self.mend}"


@dataclass(eq=False)
class OutputsError(RunIsolationError):
    """An output of a run can't be kept, or read."""

    what: str
    """The output, or a setting."""
    problem: str
    mend: str

    def __str__(self) -> str:
        return f"{self.what}: {self.problem} {self.mend}".rstrip()


class OutputMissingError(OutputsError, FileNotFoundError):
    """Nobody has kept this output there. Inputs with ``allow_missing_partitions`` go without."""


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


class ProtectionError(RunIsolationError):
    """ECS did not begin, renew or end the protection of this task."""


class DrainingError(RunIsolationError):
    """The server starts no more runs: ask another one. ``str()`` says why."""


class StartRefusedError(RunIsolationError):
    """The server does not start this run. There is no process of it. ``str()`` says why."""


class StartUnfinishedError(RunIsolationError):
    """The server is starting this run, and does not know yet how that ends."""


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
class HolderError(TableError):
    """Holders of slots are not what any process of ours writes."""

    malformed: Mapping[str, str]
    """By run id, and what is wrong with each."""

    def __str__(self) -> str:
        which = "; ".join(f"{run_id!r}: {problem}" for run_id, problem in self.malformed.items())
        return (
            f"Holders in item 'slots' of the slot table can't be read: {which}. Whoever has the "
            "role of a standing container can write there. The daemon removes such holders within "
            "seconds; look for who wrote them."
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


class LaunchError(RunIsolationError):
    """There is no task for a run."""

    @property
    def retry(self) -> Retry:
        """What may follow."""
        return Retry.NEVER


@dataclass(eq=False)
class LaunchTagsError(LaunchError):
    """The run's tags ask for what it can't have. ECS was not asked."""

    run_id: str
    problems: Sequence[Problem]
    """Everything that is wrong."""

    def __str__(self) -> str:
        return "\n\n".join(
            [
                f"Run {self.run_id} was not launched: its tags ask for what it can't have.",
                *map(str, self.problems),
                "Mend the tags, where the run or its job has them, and launch the run again.",
            ]
        )


@dataclass(eq=False)
class ForeignTaskDefinitionError(LaunchError):
    """A run's code server has advertised a task definition that is not its location's."""

    run_id: str
    task_definition: str
    family: str
    """The location's own."""

    def __str__(self) -> str:
        return (
            f"Run {self.run_id} was not launched: its code server advertised task definition "
            f"{self.task_definition}, and runs of its code location have revisions of "
            f"{self.family}. Serve the location with the --container-context that `pulumi up` "
            "gives it, reload it in Dagster and launch the run again."
        )


@dataclass(eq=False)
class LaunchFailedError(LaunchError):
    """RunTask gave no task."""

    run_id: str
    attempt: int
    answer: str
    """What ECS, or the SDK in its place, said."""
    meaning: Meaning

    @property
    def retry(self) -> Retry:
        """What may follow."""
        return self.meaning.retry

    def __str__(self) -> str:
        return (
            f"No task for run {self.run_id}, attempt {self.attempt}. {self.meaning.says} "
            f"The answer: {self.answer} {self.meaning.mend}"
        )
