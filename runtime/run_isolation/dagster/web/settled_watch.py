"""Loading a code location once more when a redeploy is over.

Dagster's webserver asks a location's name every second which server it is, and loads the location
when that has changed (dagster/_grpc/server_watcher.py). While the old and the new task both answer
to the name, each of its calls may reach either: it may see the new one and load from the old one.
When the old one is gone nothing changes any more, and the page would show old code for good.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, Final

from dagster._grpc.client import DagsterGrpcClient
from dagster._grpc.server_watcher import create_grpc_watch_thread

SETTLED_SECONDS: Final = 15.0
"""After the last change of server. While both answer there is a change every other second."""

_log: Final = logging.getLogger(__name__)


class Settled:
    """Calls once when nothing has happened for a while.

    Args:
        then: What to do.

    Attributes:
        ended: Set when it is no longer wanted.
    """

    def __init__(self, then: Callable[[], None]) -> None:
        self._then = then
        self._timer: threading.Timer | None = None
        self.ended = threading.Event()

    def happened(self) -> None:
        """Something has; begins to wait anew. Called by one thread."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(SETTLED_SECONDS, self._call)
        self._timer.daemon = True
        self._timer.start()

    def _call(self) -> None:
        if self.ended.is_set():
            return
        try:
            self._then()
        except Exception:
            _log.exception("The code location could not be loaded again after a redeploy.")


def create_watch_thread(
    location_name: str,
    client: DagsterGrpcClient,
    *,
    refresh_code_location: Callable[[str], None],
    on_updated: Callable[[str, str], None],
    **handlers: Any,
) -> tuple[threading.Event, threading.Thread]:
    """Dagster's watch of one server, as its ``create_grpc_watch_thread`` makes it.

    Returns:
        What stops the watch, and its thread.
    """
    settled = Settled(lambda: refresh_code_location(location_name))

    def updated(name: str, server_id: str) -> None:
        on_updated(name, server_id)
        settled.happened()

    settled.ended, thread = create_grpc_watch_thread(
        location_name,
        client,
        refresh_code_location=refresh_code_location,
        on_updated=updated,
        **handlers,
    )
    return settled.ended, thread
