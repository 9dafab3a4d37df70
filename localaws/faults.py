"""Faults for tests: what AWS does on a bad day, on demand.

From Python, `account.faults.add(Throttle(operation="RunTask", times=3))`; from another process, the
same fields as JSON to `POST /_localaws/faults`, with `kind` naming the fault:
`{"kind": "error", "operation": "RunTask", "code": "ThrottlingException"}`.
"""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, TypeVar

import jmespath
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, TypeAdapter

#: A reason of RunTask's `failures`, as AWS writes it:
#: https://repost.aws/knowledge-center/ecs-fargate-runtask-capacity
NO_CAPACITY = (
    "Capacity is unavailable at this time. Please try again later or in a different "
    "availability zone"
)


class Fault(BaseModel):
    """What every fault says about when it strikes.

    Attributes:
        times: How often it strikes; None for always.
        skip: How many matching calls pass before the first strike.
        where: JMESPath expression -> regular expression that its value must contain, over the
            call's parameters (or, for faults of tasks, the task as DescribeTasks shows it).
        predicate: The same as a Python function; cannot be given over HTTP.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    times: PositiveInt | None = 1
    skip: NonNegativeInt = 0
    where: dict[str, str] = Field(default_factory=dict)
    predicate: Callable[[Mapping[str, Any]], bool] | None = Field(default=None, exclude=True)

    def matches(self, service: str, operation: str, params: Mapping[str, Any]) -> bool:
        """Whether this fault is about that call."""
        return all(
            re.search(pattern, _text(jmespath.search(path, params)))
            for path, pattern in self.where.items()
        ) and (self.predicate is None or self.predicate(params))


class CallFault(Fault):
    """A fault of an API call; `*` stands for any service or operation."""

    service: str = "ecs"
    operation: str = "*"

    def matches(self, service: str, operation: str, params: Mapping[str, Any]) -> bool:
        """Whether this fault is about that call."""
        return (
            self.service in ("*", service)
            and self.operation in ("*", operation)
            and super().matches(service, operation, params)
        )


class Error(CallFault):
    """The call is not carried out and answered with an error.

    Attributes:
        code: The error's code, such as `ThrottlingException` or `AccessDeniedException`.
        status: The HTTP status.
        members: More members of the error, such as `resourceIds`.
    """

    kind: Literal["error"] = "error"
    code: str = "ThrottlingException"
    message: str = "Rate exceeded"
    status: int = 400
    members: dict[str, Any] = Field(default_factory=dict)


class LostRequest(CallFault):
    """The call is not carried out, and the connection breaks."""

    kind: Literal["lost_request"] = "lost_request"


class LostResponse(CallFault):
    """The call is carried out, and the connection breaks before the answer."""

    kind: Literal["lost_response"] = "lost_response"


class Delay(CallFault):
    """The call is carried out `seconds` later; longer than a client's timeout, after it gave up."""

    kind: Literal["delay"] = "delay"
    seconds: float


class RunTaskFailures(CallFault):
    """RunTask answers 200 with `failures`.

    Attributes:
        failures: The answer's `failures`.
        placed: How many of the tasks asked for are started all the same.
    """

    kind: Literal["run_task_failures"] = "run_task_failures"
    operation: Literal["RunTask"] = "RunTask"
    failures: tuple[dict[str, str], ...] = ({"reason": NO_CAPACITY},)
    placed: NonNegativeInt = 0


class MissingTasks(CallFault):
    """DescribeTasks does not know the tasks yet, as eventual consistency allows."""

    kind: Literal["missing_tasks"] = "missing_tasks"
    operation: Literal["DescribeTasks"] = "DescribeTasks"


class DeadTask(Fault):
    """A task stops before its containers start.

    Attributes:
        stop_code: The task's `stopCode`.
        reason: The task's `stoppedReason`.
        hide_containers: Whether the task shows an empty list of containers.
    """

    kind: Literal["dead_task"] = "dead_task"
    stop_code: str = "TaskFailedToStart"
    reason: str = "Timeout waiting for network interface provisioning to complete."
    hide_containers: bool = False


class NoContainers(Fault):
    """A task that has stopped shows an empty list of containers, so no exit code either."""

    kind: Literal["no_containers"] = "no_containers"


class SlowTask(Fault):
    """A task stays in PROVISIONING for `seconds`."""

    kind: Literal["slow_task"] = "slow_task"
    seconds: float


AnyFault = Annotated[
    Error
    | LostRequest
    | LostResponse
    | Delay
    | RunTaskFailures
    | MissingTasks
    | DeadTask
    | NoContainers
    | SlowTask,
    Field(discriminator="kind"),
]

_PARSER: TypeAdapter[AnyFault] = TypeAdapter(AnyFault)

_F = TypeVar("_F", bound=Fault)


class Injected:
    """A fault in force."""

    def __init__(self, fault: Fault) -> None:
        self.id = uuid.uuid4().hex
        self.fault = fault
        self._seen = 0
        self._hits = 0
        self._struck = threading.Condition()

    @property
    def hits(self) -> int:
        """How often it has struck."""
        return self._hits

    def wait_for_hit(self, hits: int = 1, timeout: float = 10.0) -> None:
        """Wait until it has struck `hits` times.

        Raises:
            TimeoutError: It has not within `timeout` seconds.
        """
        with self._struck:
            if not self._struck.wait_for(lambda: self._hits >= hits, timeout):
                raise TimeoutError(f"{self.fault!r} struck {self._hits} of {hits} times")

    def strike(self) -> bool:
        """Count one matching call; whether the fault strikes it."""
        with self._struck:
            self._seen += 1
            if self._seen <= self.fault.skip:
                return False
            if self.fault.times is not None and self._hits >= self.fault.times:
                return False
            self._hits += 1
            self._struck.notify_all()
            return True

    def describe(self) -> dict[str, Any]:
        """Return it as `/_localaws/faults` shows it."""
        return {"id": self.id, "hits": self._hits, **self.fault.model_dump()}


class Faults:
    """The faults in force. Thread-safe."""

    def __init__(self) -> None:
        self._injected: dict[str, Injected] = {}
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> Injected:
        """Put a fault in force."""
        injected = Injected(fault)
        with self._lock:
            self._injected[injected.id] = injected
        return injected

    def add_json(self, text: bytes | str) -> Injected:
        """Put a fault in force that is given as JSON.

        Raises:
            pydantic.ValidationError: It is not a fault; the message says which field is wrong.
        """
        return self.add(_PARSER.validate_json(text))

    def remove(self, fault_id: str) -> None:
        """Take a fault away; unknown ids are no error."""
        with self._lock:
            self._injected.pop(fault_id, None)

    def clear(self) -> None:
        """Take all faults away."""
        with self._lock:
            self._injected.clear()

    def describe(self) -> list[dict[str, Any]]:
        """Return all faults as `/_localaws/faults` shows them."""
        with self._lock:
            return [injected.describe() for injected in self._injected.values()]

    def take(
        self, kind: type[_F], params: Mapping[str, Any], service: str = "", operation: str = ""
    ) -> _F | None:
        """Return the first fault of this kind that strikes, and count the strike."""
        with self._lock:
            candidates = list(self._injected.values())
        for injected in candidates:
            fault = injected.fault
            if not isinstance(fault, kind) or not fault.matches(service, operation, params):
                continue
            if injected.strike():
                return fault
        return None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)
