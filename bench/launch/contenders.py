"""Launchers, each driven as its own scheduler drives it."""

from __future__ import annotations

import logging
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Final
from unittest.mock import patch

import yaml
from dagster import DagsterInstance
from dagster._core.launcher import LaunchRunContext
from dagster._daemon.monitoring.run_monitoring import execute_run_monitoring_iteration

from bench.launch.place import METADATA, Place
from tests.faults.contenders import launches_at, pinned_ecs_run_launcher
from tests.runtime.dagster.launches import Launches

OURS: Final = "ours"
DEFAULTS: Final = "EcsRunLauncher, defaults"
PINNED: Final = "EcsRunLauncher, pinned"


class Contender(ABC):
    """One launcher."""

    name: ClassVar[str]

    @abstractmethod
    def launch(self) -> float:
        """Launches one more run; seconds that it took."""

    @abstractmethod
    def terminate(self) -> None:
        """Ends the run that was launched last."""

    def look_after(self, runs: int) -> int | None:
        """Asks once how so many runs that go on are doing.

        Returns:
            AWS calls, or None where it does not ask AWS.
        """
        return None


class DagsterLauncher(Contender):
    """A launcher of Dagster's, in an instance of its own, called as Dagster's daemon calls it."""

    def __init__(self, place: Place, launches: Launches) -> None:
        self._place = place
        self._launches = launches
        self._last = ""
        self._seconds = 0.0
        launcher = launches.instance.run_launcher
        self._launch_run = launcher.launch_run
        launcher.launch_run = self._timed  # type: ignore[method-assign]

    @property
    def _instance(self) -> DagsterInstance:
        return self._launches.instance

    def launch(self) -> float:
        """A run is submitted and leaves the queue; the time is the launcher's part of it."""
        run = self._launches.submit(self._launches.create())
        with self._environment():
            self._instance.launch_run(run.run_id, self._launches.workspace())
        self._last = run.run_id
        return self._seconds

    def _timed(self, context: LaunchRunContext) -> None:
        began = time.perf_counter()
        self._launch_run(context)
        self._seconds = time.perf_counter() - began

    def terminate(self) -> None:
        """What the page's Terminate does with a run that has started."""
        self._launches.started(self._launches.read(self._run()))
        with self._environment():
            self._instance.run_coordinator.cancel_run(self._last)
        self._instance.report_run_canceled(self._run())

    def look_after(self, runs: int) -> int | None:
        """One iteration of Dagster's run monitor over so many STARTED runs."""
        for _ in range(runs):
            self.launch()
            self._launches.started(self._run())
        self._place.reset()
        with self._environment():
            errors = execute_run_monitoring_iteration(
                self._launches.process_context, logging.getLogger("bench")
            )
            if any(errors):
                raise RuntimeError(f"{self.name}: the monitor of {runs} runs met an error")
        return len(self._place.account.calls())

    def _run(self) -> Any:
        return self._instance.get_run_by_id(self._last)

    @contextmanager
    def _environment(self) -> Iterator[None]:
        """Of the process that launches; ours and a pinned one need no task to be in."""
        yield


class Ours(DagsterLauncher):
    """RunIsolationLauncher."""

    name = OURS


class Pinned(DagsterLauncher):
    """EcsRunLauncher with everything named in its config, so that it looks nothing up."""

    name = PINNED


class Defaults(DagsterLauncher):
    """EcsRunLauncher without config, in a task as its documentation has it."""

    name = DEFAULTS

    @contextmanager
    def _environment(self) -> Iterator[None]:
        with patch.dict(os.environ, {METADATA: self._place.metadata_uri}):
            yield


@contextmanager
def dagster_launcher(kind: type[DagsterLauncher], place: Place) -> Iterator[DagsterLauncher]:
    """A launcher with an instance and a database of its own."""
    home = place.directory / f"home of {kind.name}"
    home.mkdir()
    config = {**_config(kind, place), "run_monitoring": {"enabled": True}}
    (home / "dagster.yaml").write_text(yaml.safe_dump(config | {"telemetry": {"enabled": False}}))
    with (
        DagsterInstance.from_config(str(home)) as instance,
        launches_at(instance, place.stack, place.standing_task) as launches,
    ):
        yield kind(place, launches)


def _config(kind: type[DagsterLauncher], place: Place) -> Mapping[str, Any]:
    storage = {"storage": place.storage.new(kind.__name__.lower())}
    if kind is Ours:
        return place.stack.instance.dagster_yaml | storage
    launcher = {"module": "dagster_aws.ecs", "class": "EcsRunLauncher"}
    if kind is Pinned:
        launcher = pinned_ecs_run_launcher(place.stack)
    return {**storage, "run_launcher": launcher}
