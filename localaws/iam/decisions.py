"""The account's record of IAM's decisions."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from localaws.iam.evaluate import Decision
from localaws.iam.policy import Request

_CAPACITY: Final = 100_000


@dataclass(frozen=True)
class Ruling:
    """One decision, with all that it needs to be taken again.

    Attributes:
        call: Which call, or which duty of ECS, needed it: `ecs:RunTask`, `ecs: pull the image`.
        caller: ARN of the session that asked.
        role: ARN of its role; empty for a service.
        action: What it asked for.
        resource: On what.
        context: The condition keys, in lower case.
        allowed: What IAM said.
        by: The policy and the statement that decided, as `policy:Sid`; empty where none did.
        kind: Where that policy hangs, or would have to.
    """

    call: str
    caller: str
    role: str
    action: str
    resource: str
    context: Mapping[str, str | Sequence[str]]
    allowed: bool
    by: str
    kind: str

    def describe(self) -> dict[str, Any]:
        """Return it as `/_localaws/decisions` shows it."""
        return dict(vars(self))


class Decisions:
    """The decisions in their order. Thread-safe."""

    def __init__(self) -> None:
        self._rulings: deque[Ruling] = deque(maxlen=_CAPACITY)
        self._lock = threading.Lock()

    def add(self, call: str, request: Request, decision: Decision) -> None:
        """Record a decision."""
        who = request.principal
        ruling = Ruling(
            call=call,
            caller=who.arn or who.service,
            role=who.role,
            action=request.action,
            resource=request.resource,
            context=request.context,
            allowed=decision.allowed,
            by=decision.by.name if decision.by else "",
            kind=decision.kind.value,
        )
        with self._lock:
            self._rulings.append(ruling)

    def all(self, *, allowed: bool | None = None) -> list[Ruling]:
        """Return all decisions, or those that were favourable, or those that were not."""
        with self._lock:
            return [one for one in self._rulings if allowed in (None, one.allowed)]

    def clear(self) -> None:
        """Forget all decisions."""
        with self._lock:
            self._rulings.clear()
