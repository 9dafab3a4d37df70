"""The same code on a quicker clock: what waits for minutes waits for seconds here.

Some waits become shorter than what they wait for, such as a launcher that is still at work: this
torments more than the real ones do, and nothing may break by it.
"""

from __future__ import annotations

from typing import Final

from run_isolation import passing_trouble, start_run_timers
from run_isolation.isolated import orphans, retries, waiting_runs

WATCH_SECONDS: Final = 0.5
SWEEP_SECONDS: Final = 2.0
MONITOR_SECONDS: Final = 1.0
ABANDONED_SECONDS: Final = 20


def hurry() -> None:
    """Makes this process hurry."""
    waiting_runs.LAUNCH_SECONDS = 6  # type: ignore[misc]
    waiting_runs.MISSING_SECONDS = 8  # type: ignore[misc]
    retries.FIRST_PAUSE_SECONDS = 0.5  # type: ignore[misc]
    retries.LONGEST_PAUSE_SECONDS = 4  # type: ignore[misc]
    passing_trouble.SETTLING_SECONDS = 8  # type: ignore[misc]
    orphans.ENDING_SECONDS = 8  # type: ignore[misc]
    orphans.TEARDOWN_SECONDS = 8  # type: ignore[misc]
    start_run_timers.LOST_LAUNCHER_SECONDS = 20  # type: ignore[misc]
