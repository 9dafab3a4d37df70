"""The daemon's part: watcher, sweep, reconciler and Dagster's monitor, one after the other.

Run as `python -m tests.torture.launches.daemon` in the environment of a daemon, until it is killed.
The queue is not here: the processes that launch are killed one by one (`actors`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from dagster import DagsterInstance
from dagster._daemon.monitoring.run_monitoring import execute_run_monitoring_iteration

from run_isolation.dagster.deployment import Deployment
from run_isolation.dagster.launch.isolated_launch import IsolatedLauncher
from run_isolation.dagster.launch.non_isolated_runs import ServerRuns
from run_isolation.dagster.reconciler_sources import make_reconciler
from run_isolation.dagster.watch.orphan_sweep import OrphanSweep
from run_isolation.dagster.watch.watcher import Watcher
from tests.torture.launches import pace

LOGGER = logging.getLogger("torture.daemon")


@dataclass
class Periodic:
    """Something that is done again and again."""

    seconds: float
    work: Callable[[], Iterable[Any]]
    _last: float = field(default=0.0, init=False)

    def when_due(self) -> None:
        """Does it when it is time. Trouble is logged, and the next pass comes."""
        if time.monotonic() - self._last < self.seconds:
            return
        try:
            for _ in self.work():
                pass
        except Exception:
            LOGGER.exception("a pass broke off")
        self._last = time.monotonic()


@dataclass(frozen=True)
class NoWorkspace:
    """The monitor's context: it needs a workspace only to resume runs."""

    instance: DagsterInstance

    def create_request_context(self) -> None:
        """None."""


def main() -> None:
    """Works until it is killed."""
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.WARNING)
    LOGGER.setLevel(logging.INFO)
    quiet = logging.getLogger("torture.monitor")
    quiet.setLevel(logging.WARNING)
    pace.hurry()
    deployment = Deployment()
    with DagsterInstance.get() as instance:
        watcher = Watcher(
            deployment,
            instance,
            IsolatedLauncher(deployment),
            ServerRuns(deployment),
            LOGGER,
        )
        sweep = OrphanSweep(deployment, instance, LOGGER)
        reconciler = make_reconciler(deployment, instance, LOGGER)
        reconciler.abandoned_seconds = pace.ABANDONED_SECONDS
        context: Any = NoWorkspace(instance)
        all_of_it = [
            Periodic(pace.WATCH_SECONDS, watcher.watch),
            Periodic(pace.SWEEP_SECONDS, sweep.sweep),
            Periodic(pace.SWEEP_SECONDS, reconciler.reconcile),
            Periodic(
                pace.MONITOR_SECONDS, lambda: execute_run_monitoring_iteration(context, quiet)
            ),
        ]
        while True:
            for one in all_of_it:
                one.when_due()
            time.sleep(0.1)


if __name__ == "__main__":
    main()
