"""RunTask's clientToken, as ECS defines it.

Source of every rule here: "Ensuring idempotency",
https://docs.aws.amazon.com/AmazonECS/latest/APIReference/ECS_Idempotency.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from moto.ecs.exceptions import ECSException, InvalidParameterException

from localaws.ecs.states import Status, utcnow
from localaws.ecs.task import Task

#: A token lives for as long as its tasks and one hour more, at most one day.
AFTER_STOP = timedelta(hours=1)
AT_MOST = timedelta(hours=24)

_TOKEN = re.compile(r"[!-~]{1,64}")


class ConflictException(ECSException):
    """The token was used before, with other parameters."""

    code = "ConflictException"

    def __init__(self, task_arns: Sequence[str]) -> None:
        super().__init__(
            "The request could not be processed because of conflict in the current state of the "
            "resource: the client token was used before with different parameters."
        )
        self.resourceIds = list(task_arns)


@dataclass(frozen=True)
class Outcome:
    """What a RunTask brought: its tasks and its failures."""

    tasks: Sequence[Task]
    failures: Sequence[Mapping[str, str]]
    at: datetime


class ClientTokens:
    """Remembers what each client token was used for, cluster by cluster.

    Not thread-safe: the caller holds one lock over `replay`, the launch and `remember`.
    """

    def __init__(self, now: Callable[[], datetime] = utcnow) -> None:
        self._now = now
        self._used: dict[tuple[str, str], tuple[str, Outcome]] = {}

    def replay(self, cluster: str, params: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the answer of the first call with this token, or None when there was none.

        Raises:
            ConflictException: The first call had other parameters.
            InvalidParameterException: The token is not 1 to 64 characters of ASCII 33 to 126.
        """
        token = params.get("clientToken")
        if token is None:
            return None
        if not _TOKEN.fullmatch(token):
            raise InvalidParameterException(
                "Invalid client token: up to 64 ASCII characters in the range of 33-126."
            )
        used = self._used.get((cluster, token))
        if used is None or self._expired(used[1]):
            return None
        fingerprint, outcome = used
        if fingerprint != _fingerprint(params):
            raise ConflictException([task.task_arn for task in outcome.tasks])
        return {
            "tasks": [_replayed(task) for task in outcome.tasks],
            "failures": [dict(failure) for failure in outcome.failures],
        }

    def remember(
        self,
        cluster: str,
        params: Mapping[str, Any],
        tasks: Sequence[Task],
        failures: Sequence[Mapping[str, str]],
    ) -> None:
        """Keep what a call brought, failures included: a later call with its token repeats them."""
        if token := params.get("clientToken"):
            outcome = Outcome(tuple(tasks), tuple(failures), self._now())
            self._used[cluster, token] = _fingerprint(params), outcome

    def forget(self) -> None:
        """Forget all tokens, as ECS does when they have expired."""
        self._used.clear()

    def _expired(self, outcome: Outcome) -> bool:
        now = self._now()
        if now - outcome.at >= AT_MOST:
            return True
        ends = [task.moments.get("stoppedAt") for task in outcome.tasks] or [outcome.at]
        return all(end is not None and now - end >= AFTER_STOP for end in ends)


def _fingerprint(params: Mapping[str, Any]) -> str:
    # "Same parameters" are all of them, overrides included, as they were sent.
    return json.dumps(
        {key: value for key, value in params.items() if key != "clientToken"}, sort_keys=True
    )


def _replayed(task: Task) -> dict[str, Any]:
    shown = task.describe(tags=True)
    if task.status is Status.STOPPED:
        # The replay of a stopped task holds no more than this.
        return {key: shown[key] for key in ("taskArn", "lastStatus", "desiredStatus")}
    return shown
