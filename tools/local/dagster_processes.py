"""The names of Dagster's background processes, and how they are stopped."""

from __future__ import annotations

from tools.local.processes import Processes

WEBSERVER, DAEMON = "webserver", "daemon"
STOP_PATIENCE = 20.0
"""Seconds from SIGTERM to SIGKILL."""


def stop_dagster(processes: Processes) -> dict[str, int]:
    """Stop both, where they run.

    Returns:
        Their process ids by name.
    """
    pids = {name: processes.stop(name, patience=STOP_PATIENCE) for name in (DAEMON, WEBSERVER)}
    return {name: pid for name, pid in pids.items() if pid is not None}
