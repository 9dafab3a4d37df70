"""Container health checks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from localaws.ecs.definition import HealthCheck
from localaws.ecs.process import ContainerProcess
from localaws.ecs.states import Health


def watch(
    check: HealthCheck,
    start: Callable[[tuple[str, ...]], ContainerProcess],
    report: Callable[[Health], None],
    ended: threading.Event,
    first_check_seconds: float | None = None,
) -> None:
    """Run a container's health check until the container has ended.

    The first check comes one interval after the start. A failure within the start period is not
    counted, as long as no check has succeeded:
    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_HealthCheck.html

    Args:
        check: The check.
        start: Starts the check's command inside the container.
        report: Called with each verdict.
        ended: Set when the container has ended.
        first_check_seconds: How often it is checked in the start period until a check succeeds,
            where that is more often than the check's interval. None: as on AWS.
    """
    started = time.monotonic()
    succeeded = False
    failures = 0
    counts = False  # whether a failure does
    early = min(first_check_seconds or check.interval, check.interval)
    while not ended.wait(check.interval if counts else early):
        passes = _passes(check, start)
        succeeded = succeeded or passes
        counts = succeeded or time.monotonic() - started > check.start_period
        if passes:
            failures = 0
            report(Health.HEALTHY)
        elif not ended.is_set() and counts:
            failures += 1
            if failures >= check.retries:
                report(Health.UNHEALTHY)


def _passes(check: HealthCheck, start: Callable[[tuple[str, ...]], ContainerProcess]) -> bool:
    process = start(check.command)
    code = process.wait(check.timeout)
    if code is None:
        process.kill()
        process.wait()
    return code == 0
