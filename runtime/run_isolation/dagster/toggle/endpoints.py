"""What the script in the page asks: whether a slot is free, and how a job's last runs went.

Both answer only for a code location in which the person may launch runs, so in Dagster's read-only
mode they say nothing. Neither tells more than the page shows anyway.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Final, Literal

from dagster import AssetKey
from dagster._core.workspace.context import WorkspaceRequestContext
from dagster._core.workspace.permissions import Permissions
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from run_isolation.dagster.coordinator import RunIsolationCoordinator
from run_isolation.dagster.deployment import switched_off
from run_isolation.dagster.submit.history import read_history
from run_isolation.dagster.toggle import pages
from run_isolation.dagster.toggle.cached_table import Board, TableReading
from run_isolation.slots.item import Holder

MOST_NAMED: Final = 3
"""How many holders the page names; the reason on a run names as many."""

_FRESH: Final = {"Cache-Control": "no-store"}


class HeldSlot(BaseModel):
    """Who holds a slot."""

    run_id: str
    location: str
    since: str
    """UTC in ISO 8601."""


class SlotState(BaseModel):
    """What the toggle shows."""

    state: Literal["absent", "free", "full", "unknown"]
    """absent: no toggle; unknown: the table does not answer."""
    location: str = ""
    """The code location whose own limit is reached; empty: the deployment's."""
    limit: int = 0
    held: int = 0
    holders: list[HeldSlot] = []
    """The longest first, and only where no slot is free."""


def slot_state(reading: TableReading | None, location: str) -> SlotState:
    """What the toggle shows for a code location."""
    if reading is None:
        return SlotState(state="unknown")
    settings = reading.settings
    if location not in reading.standing or settings.limit_of(location) == 0:
        return SlotState(state="absent")
    theirs = [holder for holder in reading.holders if holder.location == location]
    own = settings.location_limits.get(location)
    if own is not None and len(theirs) >= own:
        return _full(theirs, own, location)
    limit, held = settings.limit, len(reading.holders)
    if held < limit:
        return SlotState(state="free", limit=limit, held=held)
    return _full(reading.holders, limit)


def _full(holders: Sequence[Holder], limit: int, location: str = "") -> SlotState:
    named = [
        HeldSlot(run_id=holder.run_id, location=holder.location, since=holder.since)
        for holder in holders[:MOST_NAMED]
    ]
    return SlotState(state="full", location=location, limit=limit, held=len(holders), holders=named)


RequestContext = Callable[[Request], AbstractContextManager[WorkspaceRequestContext]]


class Endpoints:
    """The routes of the toggle.

    Args:
        request_context: The webserver's own, which knows what its caller may do.
        board: The slot table.
    """

    def __init__(self, request_context: RequestContext, board: Board) -> None:
        self._request_context = request_context
        self._board = board

    def routes(self, path_prefix: str) -> list[BaseRoute]:
        """To be put before Dagster's own, the last of which takes every path."""
        base = f"{path_prefix}{pages.PATH}"
        return [
            Route(f"{base}/slots", self.slots),
            Route(f"{base}/history", self.history),
            Route(f"{base}/{{digest}}/{{name}}", pages.endpoint),
        ]

    async def slots(self, request: Request) -> Response:
        """``?location=``: what the toggle shows."""
        location = request.query_params.get("location", "")
        with self._request_context(request) as context:
            offered = _offered(context, location)
        state = slot_state(await self._board.read(), location) if offered else _ABSENT
        return JSONResponse(state.model_dump(exclude_defaults=True), headers=_FRESH)

    async def history(self, request: Request) -> Response:
        """``?location=&job=&assets=``, the last a JSON list of paths: how the last runs went."""
        asked = request.query_params
        location, job = asked.get("location", ""), asked.get("job", "")
        try:
            assets = [AssetKey(path) for path in json.loads(asked.get("assets", "[]"))]
        except Exception:
            return Response("assets is a JSON list of lists of strings.", status_code=400)
        with self._request_context(request) as context:
            offered, instance = _offered(context, location), context.instance
        reading = await self._board.read() if offered else None
        if reading is None or slot_state(reading, location).state == "absent":
            return JSONResponse({"runs": 0}, headers=_FRESH)
        found = await run_in_threadpool(
            read_history, instance, location, job, assets, reading.standing[location]
        )
        return JSONResponse(found.model_dump(exclude_none=True), headers=_FRESH)


_ABSENT: Final = SlotState(state="absent")


def _offered(context: WorkspaceRequestContext, location: str) -> bool:
    """Whether a choice in this page changes anything."""
    return (
        not switched_off()
        and isinstance(context.instance.run_coordinator, RunIsolationCoordinator)
        and context.has_permission_for_location(Permissions.LAUNCH_PIPELINE_EXECUTION, location)
    )
