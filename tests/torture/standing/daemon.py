"""The daemon's part: reconciler, watcher and Dagster's monitor, each in a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import sqlalchemy.exc
from botocore.exceptions import BotoCoreError, ClientError
from dagster import DagsterRunStatus, RunsFilter
from dagster._core.errors import DagsterRunNotFoundError
from dagster._core.launcher import WorkerStatus

from run_isolation import TableError
from run_isolation.dagster.daemon import RECONCILE_SECONDS, WATCH_SECONDS
from run_isolation.dagster.launch.isolated_launch import IsolatedLauncher
from run_isolation.dagster.launch.non_isolated_runs import ServerRuns
from run_isolation.dagster.reconciler_sources import make_reconciler
from run_isolation.dagster.watch.watcher import Watcher
from tests.torture.standing.board import Board
from tests.torture.standing.world import World

LOGGER: Final = logging.getLogger("torture.daemon")
MONITOR_SECONDS: Final = 5.0
CANCEL_TIMEOUT_SECONDS: Final = 150.0
"""Dagster's own is 180 s (dagster/_core/instance/config.py). A deaf run is killed after 120."""
TROUBLE: Final = (
    TableError,
    BotoCoreError,
    ClientError,
    sqlalchemy.exc.OperationalError,
    DagsterRunNotFoundError,
)
"""What passes may end with, and the next one comes."""


@dataclass
class Daemon:
    """The three threads."""

    world: World
    board: Board
    _over: threading.Event = field(default_factory=threading.Event)
    _canceling: dict[str, float] = field(default_factory=dict)

    def start(self) -> None:
        """Starts them."""
        world = self.world
        reconciler = make_reconciler(world.deployment, world.instance, LOGGER)
        self._servers = ServerRuns(world.deployment)
        launcher = IsolatedLauncher(world.deployment)
        watcher = Watcher(world.deployment, world.instance, launcher, self._servers, LOGGER)
        self._each(RECONCILE_SECONDS, "reconciler", lambda: self._removed(reconciler.reconcile()))
        self._each(WATCH_SECONDS, "watcher", watcher.watch)
        self._each(MONITOR_SECONDS, "monitor", self._monitor)

    def stop(self) -> None:
        """No pass is begun any more."""
        self._over.set()

    def _each(self, seconds: float, name: str, work: Callable[[], Iterable[Any]]) -> None:
        def passes() -> None:
            while not self._over.wait(seconds):
                with self.board.noting_crashes(name, *TROUBLE):
                    for trouble in work():
                        if trouble is not None:
                            self.board.count(
                                f"{name}: {getattr(trouble, 'message', trouble)}"[:200]
                            )

        threading.Thread(target=passes, name=name, daemon=True).start()

    def _removed(self, removed: Iterable[Any]) -> Iterable[Any]:
        for one in removed:
            self.board.count(f"slot removed: {one.why.split('task ')[0][:60]}")
        return ()

    def _monitor(self) -> Iterable[Any]:
        """What Dagster's monitor does (dagster/_daemon/monitoring/run_monitoring.py)."""
        instance = self.world.instance
        now = time.monotonic()
        unsettled = [DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]
        for run in instance.get_runs(RunsFilter(statuses=unsettled)):
            if run.status is DagsterRunStatus.CANCELING:
                since = self._canceling.setdefault(run.run_id, now)
                if now - since > CANCEL_TIMEOUT_SECONDS:
                    instance.report_run_canceled(run, message="It was canceled for too long.")
                continue
            health = self._servers.health(instance, run)
            stored = instance.get_run_by_id(run.run_id)
            if (
                health.status is WorkerStatus.FAILED
                and stored is not None
                and stored.status is DagsterRunStatus.STARTED
            ):
                self.board.count("failed by the monitor")
                instance.report_run_failed(stored, message=health.msg)
        return ()
