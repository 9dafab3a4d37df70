"""What ECS's answers to RunTask mean: one table, an allow-list of what is tried again.

What no row names is never tried again: a request that is wrong stays wrong.

Sources: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html (errors),
https://docs.aws.amazon.com/AmazonECS/latest/APIReference/ECS_Idempotency.html (which of them keep
their token), https://docs.aws.amazon.com/AmazonECS/latest/developerguide/api_failures_messages.html
(reasons of ``failures``), https://repost.aws/knowledge-center/ecs-fargate-runtask-capacity.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from botocore import exceptions as botocore

from run_isolation import aws, passing_trouble
from run_isolation.passing_trouble import Trouble, classify
from run_isolation.retry import Meaning, Retry

_QUOTAS: Final = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-quotas.html"

THROTTLED: Final = Meaning(
    "AWS turned the call away for its rate, so nothing was started.",
    Retry.SAME_ATTEMPT,
    f"If it comes often, ask AWS for a higher rate of Fargate launches ({_QUOTAS}).",
    soon=True,
)
UNKNOWN: Final = Meaning(
    "Whether a task was started is not known.",
    Retry.SAME_ATTEMPT,
    "The same attempt finds the task if there is one. If it comes often, check the route to ECS.",
    may_have_started=True,
)
UNSENT: Final = Meaning(
    "There were no credentials for the call, so nothing was started.",
    Retry.SAME_ATTEMPT,
    "Check that the process has a role, and the route to the endpoint of its credentials.",
)
UNPREPARED: Final = Meaning(
    "What a launch has to know was not to be had, so nothing was started.",
    Retry.SAME_ATTEMPT,
    "If it comes often, check the route to SSM.",
)
EMPTY: Final = Meaning(
    "ECS answered with neither a task nor a failure, so it has placed none.",
    # To the same token ECS would give the same answer.
    Retry.NEW_ATTEMPT,
    "A new attempt has a token of its own.",
    elsewhere=True,
)
CONFLICT: Final = Meaning(
    "This attempt's token belongs to an earlier request, which left no task.",
    Retry.NEW_ATTEMPT,
    "A new attempt has a token of its own.",
    elsewhere=True,
)
NO_CAPACITY: Final = Meaning(
    "ECS has no room for the task now.",
    Retry.NEW_ATTEMPT,
    "If it goes on, give the deployment subnets in more zones, or the run another size.",
    elsewhere=True,
)
QUOTA: Final = Meaning(
    "The account's quota of Fargate vCPUs is used up.",
    Retry.NEW_ATTEMPT,
    # Only the end of another task makes room.
    f"Wait for other tasks to end, or ask AWS for a higher quota ({_QUOTAS}).",
)
DENIED: Final = Meaning(
    "AWS refused the call.",
    Retry.NEVER,
    "Attach the policies of the stack's output launcherPolicyArns to the role that launches.",
    settles=True,
)
UNSETTLED: Final = Meaning(
    "ECS does not know the task definition, or may not use a role of it.",
    Retry.NEVER,
    "`pulumi up` makes both, and keeps them as long as their code location is there.",
    settles=True,
)
NOT_TO_BE_FOUND: Final = Meaning(
    "AWS refused to tell what a launch has to know.",
    Retry.NEVER,
    "`pulumi up` makes it, and the policies of the stack's output launcherPolicyArns allow it.",
    settles=True,
)
MALFORMED: Final = Meaning(
    "The SDK refused the request, so nothing was sent.",
    Retry.NEVER,
    "Mend the run's ecs/* tags, or the settings of the process that launches.",
)
REFUSED: Final = Meaning(
    "ECS refused the request, and would refuse it again.",
    Retry.NEVER,
    "Mend what the answer names, and launch the run again.",
)


@dataclass(frozen=True)
class Row:
    """Answers that mean the same. Upper and lower case are the same everywhere."""

    meaning: Meaning
    starts: tuple[str, ...] = ("",)
    """How the error's code, or the failure's reason, begins."""
    has: tuple[str, ...] = ("",)
    """What else its text has, any one of them."""

    def matches(self, name: str, text: str) -> bool:
        """Whether an answer is one of these."""
        name, text = name.lower(), text.lower()
        return name.startswith(tuple(each.lower() for each in self.starts)) and any(
            each.lower() in text for each in self.has
        )


# Errors that carry existing tasks are not here: they are adopted (isolated.py).
ERRORS: Final = (
    Row(QUOTA, has=("reached the limit on the number of vCPUs", "on the number of tasks you can")),
    Row(THROTTLED, starts=tuple(sorted(passing_trouble.THROTTLES))),
    # What EC2 says to ECS behind it comes as a bad parameter (dagster-io/dagster#33439,
    # dask/dask-cloudprovider#56).
    Row(
        THROTTLED,
        starts=("InvalidParameterException",),
        has=("Throttling", "RequestLimitExceeded", "Rate exceeded"),
    ),
    Row(UNKNOWN, starts=("ServerException", "Internal", "ServiceUnavailable", "RequestTimeout")),
    Row(CONFLICT, starts=("ConflictException",)),
    # https://repost.aws/knowledge-center/ecs-unable-to-assume-role
    Row(
        UNSETTLED,
        starts=("ClientException",),
        has=("TaskDefinition not found", "unable to assume the role"),
    ),
)
"""RunTask was answered with an error; the first row that matches counts. What no row knows is as in
the table for all services (``passing_trouble.py``)."""

FAILURES: Final = (
    Row(QUOTA, has=("reached the limit on the number of vCPUs", "on the number of tasks you can")),
    Row(NO_CAPACITY, has=("Capacity is unavailable",)),
    Row(NO_CAPACITY, starts=("RESOURCE:", "AGENT", "Internal error")),
)
"""RunTask was answered with ``failures``, by reason and detail."""


def meaning_of_error(error: botocore.ClientError, task_definition: str) -> Meaning:
    """What an error means. A denial is told with its action and resource."""
    details = error.response["Error"]
    for row in ERRORS:
        if row.matches(details["Code"], details["Message"]):
            return row.meaning
    trouble = classify(error)
    if trouble is Trouble.SETTLES:
        return _denied(error, task_definition)
    return UNKNOWN if trouble is Trouble.PASSES else REFUSED


def meaning_of_failures(failures: list[Any]) -> Meaning:
    """What ``failures`` mean: one that is final makes all of them so."""
    meanings = [_meaning_of_failure(failure) for failure in failures]
    final = (meaning for meaning in meanings if meaning.retry is Retry.NEVER)
    return next(final, QUOTA if QUOTA in meanings else meanings[0])


def meaning_of_silence(error: botocore.BotoCoreError) -> Meaning:
    """What it means that there is no answer at all."""
    if isinstance(error, passing_trouble.CREDENTIALS):
        return UNSENT
    return UNKNOWN if classify(error) is Trouble.PASSES else MALFORMED


def meaning_before_the_call(error: Exception) -> Meaning | None:
    """What trouble means that came before RunTask was called: nothing was started.

    None where it won't pass.
    """
    return {Trouble.PASSES: UNPREPARED, Trouble.SETTLES: NOT_TO_BE_FOUND}.get(classify(error))


def failures_text(failures: list[Any]) -> str:
    """``failures`` in words."""
    parts = ("reason", "detail", "arn")
    shown = (" ".join(each[part] for part in parts if each.get(part)) for each in failures)
    return "; ".join(shown)


def _meaning_of_failure(failure: Mapping[str, str]) -> Meaning:
    reason = failure.get("reason", "")
    for row in FAILURES:
        if row.matches(reason, f"{reason} {failure.get('detail', '')}"):
            return row.meaning
    return REFUSED


def _denied(error: botocore.ClientError, task_definition: str) -> Meaning:
    action, resource = aws.denied_permission(error) or ("ecs:RunTask", task_definition)
    return dataclasses.replace(
        DENIED, mend=f"Allow {action} on {resource} for the caller's role. {DENIED.mend}"
    )
