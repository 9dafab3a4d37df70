"""What the script in Dagster's page asks, which may be of another release than its webserver."""

from __future__ import annotations

from typing import Any, cast

from starlette.routing import Route

from run_isolation import Holder, NonIsolatedRuns, Size
from run_isolation.dagster.submit.history import History
from run_isolation.dagster.toggle.cached_table import TableReading
from run_isolation.dagster.toggle.endpoints import Endpoints, slot_state
from tests.wire.values import LOCATION, RUN, SINCE


def toggle() -> Any:
    """Paths and answers."""
    standing = {LOCATION: Size(cpu=256, memory=1024)}
    on = NonIsolatedRuns(enabled=True)
    readings = {
        "absent": TableReading(NonIsolatedRuns(), (), standing),
        "free": TableReading(on, (), standing),
        "full": TableReading(on, (Holder(RUN, 1, LOCATION, since=SINCE),), standing),
        "full of its own": TableReading(
            NonIsolatedRuns(
                enabled=True,
                max_concurrent_non_isolated_runs=2,
                location_limits={LOCATION: 1},
            ),
            (Holder(RUN, 1, LOCATION, since=SINCE),),
            standing,
        ),
        "unknown": None,
    }
    history = History(runs=5, seconds=42.0, peak_mib=230.0, fits=True, shared_start_seconds=0.5)
    routes = Endpoints(cast("Any", None), cast("Any", None)).routes("")
    return {
        "paths": [cast("Route", route).path for route in routes],
        "slots": {
            name: slot_state(reading, LOCATION).model_dump(exclude_defaults=True)
            for name, reading in readings.items()
        },
        "history": history.model_dump(exclude_none=True),
    }
