"""What an isolated run takes, measured in its own task."""

from __future__ import annotations

import logging
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Final

from dagster import DagsterInstance

from run_isolation.dagster.memory.usage import Meter, Usage, start_latency

MEASURE_SECONDS: Final = 0.5
"""Between two measurements; more where they would take too long."""

_log: Final = logging.getLogger(__name__)


@contextmanager
def measured(run_id: str, instance: DagsterInstance) -> Iterator[None]:
    """Measures this process and its descendants, and at the end writes on the run what they took.

    As for a run in a standing container, what counts is the memory of its processes: the task's
    control group would count its files in the cache as well.
    """
    usage, over = Usage(), Event()
    meter = Thread(target=_measure, args=[usage, over], name="memory-meter", daemon=True)
    meter.start()
    try:
        yield
    finally:
        over.set()
        meter.join()
        own = resource.getrusage(resource.RUSAGE_SELF)
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
        # KiB: https://man7.org/linux/man-pages/man2/getrusage.2.html. No measurement misses it.
        usage.saw(max(own.ru_maxrss, children.ru_maxrss) * 1024, cpu)
        try:
            taken = usage.as_tags(start_latency(instance, run_id))
            instance.add_run_tags(run_id, taken)
        except Exception:
            _log.exception("What run %s took is not recorded.", run_id)


def _measure(usage: Usage, over: Event) -> None:
    meter = Meter()
    while not over.wait(MEASURE_SECONDS):
        meter.measure({os.getpid(): usage})
