"""The daemon: Dagster's own, with the reconciler as one daemon more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Final

import dagster._daemon.cli
from dagster import DagsterInstance
from dagster._core.workspace.context import IWorkspaceProcessContext
from dagster._daemon.controller import create_daemons_from_instance, daemon_controller_from_instance
from dagster._daemon.daemon import DaemonIterator, DagsterDaemon, IntervalDaemon

from run_isolation.dagster.deployment import Deployment, switched_off
from run_isolation.dagster.seam import replaced
from run_isolation.dagster.sources import make_reconciler
from run_isolation.dagster.workspace_watch import workspace_watch
from run_isolation.reconciler import Reconciler

RECONCILE_SECONDS: Final = 10
"""Between two passes. A pass without holders costs one read of an item."""


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


def generate_daemons(instance: DagsterInstance) -> Iterator[DagsterDaemon[Any]]:
    """Dagster's daemons and ours, unless RUN_ISOLATION_DISABLED=1."""
    yield from create_daemons_from_instance(instance)
    if switched_off():
        return
    yield ReconcilerDaemon(Deployment())
    # Dagster's controller takes a daemon that the instance does not require for one without a
    # heartbeat, and says so every minute (dagster/_daemon/controller.py, get_daemon_statuses).
    required = [*instance.get_required_daemon_types(), ReconcilerDaemon.daemon_type()]
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
    with replaced(dagster._daemon.cli, "daemon_controller_from_instance", controller):
        dagster._daemon.cli.run_command.main(list(options), prog_name="run-isolation daemon")
