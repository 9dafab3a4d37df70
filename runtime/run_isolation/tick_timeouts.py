"""How long Dagster waits for a sensor or schedule, where its own default is too short.

Dagster reads these variables as it is imported (dagster/_grpc/client.py), in whatever process asks
a code server: the daemon for ticks, the webserver for tests of them.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from typing import Final

TICK_SECONDS: Final = 300
"""What a large code location may need at a quarter of a vCPU. Dagster's own 60 s are for a server
with a CPU."""

VARIABLES: Final = (
    "DAGSTER_SENSOR_GRPC_TIMEOUT_SECONDS",
    "DAGSTER_SCHEDULE_GRPC_TIMEOUT_SECONDS",
)
ALL_CALLS: Final = "DAGSTER_GRPC_TIMEOUT_SECONDS"
"""Counts for ticks, too, where nothing else is said."""


def allow_long_ticks(
    sensor_seconds: int | None = None,
    schedule_seconds: int | None = None,
    environment: MutableMapping[str, str] = os.environ,
) -> None:
    """Lets ticks take as long as the deployment says, and TICK_SECONDS where it says nothing.

    What the environment says goes before it. Call it before Dagster is imported.

    Args:
        sensor_seconds: What the deployment says of sensors.
        schedule_seconds: What it says of schedules.
        environment: Of this process.
    """
    for name, seconds in zip(VARIABLES, (sensor_seconds, schedule_seconds), strict=True):
        # Dagster takes an empty value for none.
        if environment.get(name):
            continue
        if seconds is not None:
            environment[name] = str(seconds)
        elif not environment.get(ALL_CALLS):
            environment[name] = str(TICK_SECONDS)
