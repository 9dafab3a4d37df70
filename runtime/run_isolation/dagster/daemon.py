"""The daemon: Dagster's own, with three more: reconciler, watcher, and what ran out of memory."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Final

import dagster._daemon.cli
from dagster import DagsterInstance
from dagster._core.workspace.context import IWorkspaceProcessContext
from dagster._daemon.controller import create_daemons_from_instance, daemon_controller_from_instance
from dagster._daemon.daemon import DaemonIterator, DagsterDaemon, IntervalDaemon
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

from run_isolation.dagster import pool_limits
from run_isolation.dagster.channels import connecting_soon
from run_isolation.dagster.deployment import Deployment, switched_off
from run_isolation.dagster.home.workspace_watch import workspace_watch
from run_isolation.dagster.launch.isolated_launch import IsolatedLauncher
from run_isolation.dagster.launch.non_isolated_runs import ServerRuns
from run_isolation.dagster.launch.waiting_queue import WaitingQueue
from run_isolation.dagster.memory.reexecution import ExecuteAgain
from run_isolation.dagster.patching import replaced
from run_isolation.dagster.reconciler_sources import make_reconciler
from run_isolation.dagster.watch.orphan_sweep import OrphanSweep
from run_isolation.dagster.watch.watcher import Watcher
from run_isolation.slots.reconciler import Reconciler

RECONCILE_SECONDS: Final = 10
"""Between two passes. A pass without holders costs one read of an item."""

WATCH_SECONDS: Final = 10
"""Between two looks at runs that wait. One without such runs costs two queries of the storage."""

AGAIN_SECONDS: Final = 5
"""Between two looks for runs that were ended for want of memory: a query of the storage each."""

SWEEP_SECONDS: Final = 15
"""Between two looks at all tasks of the cluster: a call of ListTasks and one of DescribeTasks for
each hundred, of which an account may make 20 a second
(https://docs.aws.amazon.com/AmazonECS/latest/APIReference/request-throttling.html). The task of a
run that somebody has ended is stopped within two."""


class ReconcilerDaemon(IntervalDaemon[IWorkspaceProcessContext[Any]]):
    """Runs the reconciler as one of Dagster's daemons: errors and heartbeats show as theirs do."""

    def __init__(self, deployment: Deployment) -> None:
        super().__init__(interval_seconds=RECONCILE_SECONDS)
        self._deployment = deployment
        self._reconciler: Reconciler | None = None

    @classmethod
    def daemon_type(cls) -> str:
        """Its name in heartbeats and logs."""
        return "RUN_ISOLATION_RECONCILER"

    def run_iteration(
        self, workspace_process_context: IWorkspaceProcessContext[Any]
    ) -> DaemonIterator:
        """One pass. What it raises is logged, and the next one comes."""
        if self._reconciler is None:
            instance = workspace_process_context.instance
            self._reconciler = make_reconciler(self._deployment, instance, self._logger)
        self._reconciler.reconcile()
        yield None


class WatcherDaemon(IntervalDaemon[IWorkspaceProcessContext[Any]]):
    """Runs watcher and sweep as one of Dagster's daemons."""

    def __init__(self, deployment: Deployment) -> None:
        super().__init__(interval_seconds=WATCH_SECONDS)
        self._deployment = deployment
        self._watcher: Watcher | None = None
        self._sweep: OrphanSweep | None = None
        self._swept_at: float | None = None

    @classmethod
    def daemon_type(cls) -> str:
        """Its name in heartbeats and logs."""
        return "RUN_ISOLATION_WATCHER"

    def run_iteration(
        self, workspace_process_context: IWorkspaceProcessContext[Any]
    ) -> DaemonIterator:
        """One look, and a sweep when it is time. What they raise is logged, and the next comes."""
        deployment, instance = self._deployment, workspace_process_context.instance
        if self._watcher is None or self._sweep is None:
            self._watcher = Watcher(
                deployment,
                instance,
                IsolatedLauncher(deployment),
                ServerRuns(deployment),
                self._logger,
            )
            self._sweep = OrphanSweep(deployment, instance, self._logger)
        yield from self._watcher.watch()
        now = time.monotonic()
        if self._swept_at is None or now - self._swept_at >= SWEEP_SECONDS:
            self._swept_at = now
            yield from self._sweep.sweep()


class OutOfMemoryDaemon(IntervalDaemon[IWorkspaceProcessContext[Any]]):
    """Executes again what was ended for want of memory, as one of Dagster's daemons."""

    def __init__(self, deployment: Deployment) -> None:
        super().__init__(interval_seconds=AGAIN_SECONDS)
        self._deployment = deployment

    @classmethod
    def daemon_type(cls) -> str:
        """Its name in heartbeats and logs."""
        return "RUN_ISOLATION_OUT_OF_MEMORY"

    def run_iteration(
        self, workspace_process_context: IWorkspaceProcessContext[Any]
    ) -> DaemonIterator:
        """One look. What it raises is logged, and the next one comes."""
        again = ExecuteAgain(self._deployment, workspace_process_context, self._logger)
        yield from again.look()


def generate_daemons(instance: DagsterInstance) -> Iterator[DagsterDaemon[Any]]:
    """Dagster's daemons and ours, unless RUN_ISOLATION_DISABLED=1."""
    for daemon in create_daemons_from_instance(instance):
        if isinstance(daemon, QueuedRunCoordinatorDaemon):
            # Also where ours are switched off: it is the launcher that has runs wait.
            WaitingQueue(IsolatedLauncher(Deployment())).join(daemon)
        yield daemon
    if switched_off():
        return
    ours = [
        ReconcilerDaemon(Deployment()),
        WatcherDaemon(Deployment()),
        OutOfMemoryDaemon(Deployment()),
    ]
    yield from ours
    # Dagster's controller takes a daemon that the instance does not require for one without a
    # heartbeat, and says so every minute (dagster/_daemon/controller.py, get_daemon_statuses).
    required = [*instance.get_required_daemon_types(), *(daemon.daemon_type() for daemon in ours)]
    instance.get_required_daemon_types = lambda: required  # type: ignore[method-assign]


def run(options: Sequence[str]) -> None:
    """Runs ``dagster-daemon run`` with our daemons.

    Args:
        options: Of ``dagster-daemon run``.
    """
    watch = workspace_watch()
    if watch is not None:
        # Dagster's daemon reads the file again by itself, every minute.
        watch.start(on_change=lambda: None)
    controller = partial(daemon_controller_from_instance, gen_daemons=generate_daemons)
    with (
        connecting_soon(),
        pool_limits.kept(Deployment()),
        replaced(dagster._daemon.cli, "daemon_controller_from_instance", controller),
    ):
        dagster._daemon.cli.run_command.main(list(options), prog_name="run-isolation daemon")
