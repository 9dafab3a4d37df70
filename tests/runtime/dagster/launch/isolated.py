"""What tests of isolated launches ask for, and look at."""

from __future__ import annotations

from typing import Any

from dagster import DagsterRun

from run_isolation.isolated.run_task import started_by
from tests.runtime.dagster.account import LOCATION, PARAMETER, Stack
from tests.runtime.dagster.launches import Launches

ALWAYS = None


def at_once(seconds: float) -> None:
    """Passes the time between two tries."""


def asked(launches: Launches, **values: str) -> DagsterRun:
    return launches.create(tags={f"ecs/{name}": value for name, value in values.items()})


def tasks(stack: Stack, run: DagsterRun) -> list[str]:
    """ARNs of the run's tasks, running and stopped."""
    return stack.tasks_of(started_by(run.run_id))


def publish(stack: Stack, **changes: Any) -> None:
    """A manifest that says something else about the location or, by ``network``, its network."""
    network = stack.manifest.network.model_copy(update=changes.pop("network", {}))
    location = stack.manifest.locations[LOCATION].model_copy(update=changes)
    manifest = stack.manifest.model_copy(
        update={"locations": {LOCATION: location}, "network": network}
    )
    stack.account.client("ssm").put_parameter(
        Name=PARAMETER, Type="String", Value=manifest.to_json(), Overwrite=True
    )
