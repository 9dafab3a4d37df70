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


def allow_long_ticks(environment: MutableMapping[str, str] = os.environ) -> None:
    """Lets ticks take TICK_SECONDS, unless the user has said how long.

    Call it before Dagster is imported.
    """
    for name in VARIABLES:
        # Dagster takes an empty value for none.
        if not environment.get(name) and not environment.get(ALL_CALLS):
            environment[name] = str(TICK_SECONDS)
