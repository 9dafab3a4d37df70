"""What an account has only so much of: vCPUs, launches and reads in a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

from localaws.conditions import Conditions
from localaws.ecs.states import Status
from localaws.ecs.task import Task
from localaws.faults import Error

#: A reason of RunTask's `failures`, and of a service's event, with AWS's apostrophe:
#: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-event-messages-list.html
NO_VCPUS: Final = "You\u2019ve reached the limit on the number of vCPUs you can run concurrently"

#: Calls that draw on one rate each, by the field of `Conditions` that holds it.
_RATES: Final[Mapping[tuple[str, str], str]] = {
    ("ecs", "RunTask"): "launches_per_second",
    ("ssm", "GetParameter"): "parameters_per_second",
    ("ssm", "GetParameters"): "parameters_per_second",
    ("ssm", "GetParametersByPath"): "parameters_per_second",
    ("secretsmanager", "GetSecretValue"): "secrets_per_second",
    ("secretsmanager", "DescribeSecret"): "secrets_per_second",
}


class Quotas:
    """Those of one account. Thread-safe.

    Args:
        conditions: Say how much there is.
    """

    def __init__(self, conditions: Conditions) -> None:
        self._conditions = conditions
        #: What is left of each rate, and when that was so, in monotonic seconds.
        self._left: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def throttle(self, service: str, operation: str, params: Mapping[str, Any]) -> Error | None:
        """Count a call; return AWS's error where the account makes too many.

        A bucket of tokens that is refilled, as AWS's are:
        https://docs.aws.amazon.com/AmazonECS/latest/developerguide/throttling.html
        """
        name = _RATES.get((service, operation))
        rate: float | None = getattr(self._conditions, name) if name else None
        if name is None or rate is None:
            return None
        most = self._conditions.launch_burst if service == "ecs" else max(1.0, rate)
        wanted = int(params.get("count") or 1) if service == "ecs" else 1
        now = time.monotonic()
        with self._lock:
            left, then = self._left.get(name, (most, now))
            left = min(most, left + (now - then) * rate)
            enough = left >= wanted
            self._left[name] = (left - wanted if enough else left, now)
        return None if enough else Error(service=service)

    def room(self, cpu: int, tasks: Iterable[Task]) -> int | None:
        """Return how many tasks of this size the vCPU quota has room for; None without a quota.

        Args:
            cpu: CPU units of a task.
            tasks: All of the region, those that have ended, too.
        """
        if self._conditions.vcpus is None:
            return None
        used = sum(task.spec.cpu for task in tasks if task.status is not Status.STOPPED)
        return max(0, int(self._conditions.vcpus * 1024 - used) // max(1, cpu))
