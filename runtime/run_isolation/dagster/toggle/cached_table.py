"""What the slot table says, for every page that is open: read once a second, however many ask."""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from run_isolation.dagster.deployment import Deployment
from run_isolation.errors import RunIsolationError
from run_isolation.manifest import Size
from run_isolation.slots.item import Holder
from run_isolation.slots.settings import NonIsolatedRuns

FRESH_SECONDS: Final = 1.0
"""How old an answer may be. A page asks again after as long, so a slot that gets free shows there
within 3 seconds."""

PATIENCE_SECONDS: Final = 2.0
"""How long a page waits for the table. A slow table must not make Dagster's page slow."""

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True)
class TableReading:
    """The table at one moment."""

    settings: NonIsolatedRuns
    holders: tuple[Holder, ...]
    """The longest first."""
    standing: dict[str, Size]
    """What the standing containers have, by code location."""


class Board:
    """Reads in a thread of its own: a table that hangs takes none from the webserver's pool."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="toggle")
        self._reading: asyncio.Future[TableReading | None] | None = None
        self._last: TableReading | None = None
        self._read_at = float("-inf")
        self._answers = True

    async def read(self) -> TableReading | None:
        """The table, at most FRESH_SECONDS old; None where it does not answer in time."""
        if time.monotonic() - self._read_at < FRESH_SECONDS:
            return self._last
        if self._reading is None or self._reading.done():
            self._reading = asyncio.get_running_loop().run_in_executor(self._thread, self._look)
        try:
            return await asyncio.wait_for(asyncio.shield(self._reading), PATIENCE_SECONDS)
        except TimeoutError:
            return None

    def _look(self) -> TableReading | None:
        try:
            locations = self._deployment.manifest.named
            self._answers, self._last = (
                True,
                TableReading(
                    self._deployment.slots.settings(),
                    self._deployment.slots.holders(),
                    {name: location.standing for name, location in locations.items()},
                ),
            )
        except RunIsolationError as error:
            if self._answers:
                _log.warning("The page can't show whether a slot is free. %s", error)
            self._answers, self._last = False, None
        self._read_at = time.monotonic()
        return self._last
