"""A watcher and a sweep whose time the test tells."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dagster import DagsterInstance, DagsterRun

from run_isolation.dagster.deployment import Deployment
from run_isolation.dagster.launch.isolated_launch import IsolatedLauncher
from run_isolation.dagster.watch.orphan_sweep import OrphanSweep
from run_isolation.dagster.watch.watcher import Watcher


@dataclass
class NonIsolated:
    """Notes which runs it was to go on with."""

    went_on: list[str] = field(default_factory=list)
    meanwhile: Callable[[DagsterRun], object] = lambda run: None  # a field

    def go_on(self, instance: DagsterInstance, run: DagsterRun) -> None:
        self.went_on.append(run.run_id)
        self.meanwhile(run)


class Watched:
    """Passes, each as much later as the test says."""

    def __init__(self, instance: DagsterInstance) -> None:
        self.now = 0.0
        self.epoch = 0.0
        self.non_isolated = NonIsolated()
        deployment, logger = Deployment(), logging.getLogger("test")
        self.watcher = Watcher(
            deployment,
            instance,
            IsolatedLauncher(deployment),
            self.non_isolated,
            logger,
            clock=lambda: self.now,
            epoch=lambda: self.epoch,
        )
        self.orphans = OrphanSweep(deployment, instance, logger, clock=lambda: self.now)

    def watch(self, after: float = 0.0) -> list[Any]:
        """What went wrong in a pass of the watcher."""
        self.now += after
        return [trouble for trouble in self.watcher.watch() if trouble is not None]

    def sweep(self, after: float = 0.0) -> list[Any]:
        """What went wrong in a sweep."""
        self.now += after
        return [trouble for trouble in self.orphans.sweep() if trouble is not None]
