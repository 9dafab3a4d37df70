"""Protection of a standing task: ECS replaces none that hosts runs.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-scale-in-protection.html. It guards
against redeploys and scale-in, not against a failed health check, Fargate's own maintenance or
StopTask. Only tasks of a service can have it.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from http.client import HTTPException
from threading import Lock
from typing import Any, Final
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from run_isolation.errors import ProtectionError

AGENT_VARIABLE: Final = "ECS_AGENT_URI"
"""Set by ECS
(https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-scale-in-protection-endpoint.html)."""

EXPIRES_MINUTES: Final = 15
"""After which a protection ends by itself: a server that hangs must not hold up ECS for long."""

RENEW_SECONDS: Final = 300
"""A third of it, so that two renewals may fail."""

CALL_SECONDS: Final = 3
"""Deadline of one call; the start of a run waits for the first."""


class TaskProtection:
    """Protects this task as long as it is wanted. Trouble is logged, and mended by the next call.

    Args:
        wanted: Whether the task must not be replaced now.
        logger: For trouble, once for each kind of it.
        environment: Where ECS says how to reach it.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        wanted: Callable[[], bool],
        logger: logging.Logger,
        environment: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wanted = wanted
        self._logger = logger
        self._agent = environment.get(AGENT_VARIABLE)
        self._clock = clock
        self._lock = Lock()
        self._held = False
        self._renew_at = 0.0
        self._trouble = ""

    @property
    def held(self) -> bool:
        """Whether the task is protected, as far as is known."""
        return self._held

    def settle(self) -> None:
        """Begins, renews or ends the protection where that is due. Raises nothing."""
        # What is wanted is asked inside the lock: an end must not undo a beginning after it.
        with self._lock:
            wanted, now = self._wanted(), self._clock()
            due = now >= self._renew_at if wanted else self._held
            if not due:
                return
            # A call that fails may have been carried out.
            self._held = True
            try:
                _put(self._agent, wanted)
            except ProtectionError as error:
                self._renew_at = now
                self._complain(wanted, str(error))
                return
            self._held = wanted
            self._renew_at = now + RENEW_SECONDS if wanted else now
            self._recovered()

    def _complain(self, wanted: bool, trouble: str) -> None:
        if trouble == self._trouble:
            return
        self._trouble = trouble
        self._logger.warning(
            "The protection of this task could not be %s; trying again. %s%s",
            "begun or renewed" if wanted else "ended",
            trouble,
            " Until then a redeploy gives its runs 120 seconds." if wanted else "",
        )

    def _recovered(self) -> None:
        if self._trouble:
            self._logger.info("The protection of this task is as it should be again.")
        self._trouble = ""


def _put(agent: str | None, enabled: bool) -> None:
    """Asks ECS's agent to begin, renew or end the protection.

    Raises:
        ProtectionError: It did not, or did not say so.
    """
    if not agent:
        raise ProtectionError(
            f"The environment has no {AGENT_VARIABLE}; Fargate sets it from platform version 1.4.0."
        )
    asked: dict[str, Any] = {"ProtectionEnabled": enabled}
    if enabled:
        asked["ExpiresInMinutes"] = EXPIRES_MINUTES
    url = f"{agent}/task-protection/v1/state"
    try:
        answer = _call(Request(url, json.dumps(asked).encode(), method="PUT"))  # noqa: S310  # ECS set the URL
    except (OSError, ValueError, HTTPException) as error:
        raise ProtectionError(f"PUT {url}: {error!r}.") from error
    protection = answer.get("protection")
    held = protection.get("ProtectionEnabled") if isinstance(protection, dict) else None
    if held is not enabled:
        raise ProtectionError(f"PUT {url} was answered with {json.dumps(answer)}.")


def _call(request: Request) -> dict[str, Any]:
    """The endpoint's answer; its refusals are JSON, too."""
    request.add_header("Content-Type", "application/json")
    try:
        with urlopen(request, timeout=CALL_SECONDS) as response:  # noqa: S310  # ECS set the URL
            answer = json.load(response)
    except HTTPError as refusal:
        with refusal:
            answer = json.load(refusal)
    if not isinstance(answer, dict):
        raise ValueError(f"not an object: {answer!r}")
    return answer
