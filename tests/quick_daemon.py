"""`run-isolation daemon` on a quicker clock: it looks more often, and waits less for others.

Run as `python -m tests.quick_daemon`, with the options of `dagster-daemon run`. Nothing has to be
done in less time than by the real one. How often the real one looks is in
`run_isolation.dagster.daemon`, and what it decides by its own clock has unit tests.
"""

from __future__ import annotations

import sys
from typing import Final

from run_isolation import passing_trouble
from run_isolation.dagster import daemon
from run_isolation.isolated import retries, waiting_runs

LAUNCH_SECONDS: Final = 45
"""Still longer than a launcher that lives is at work here: it waits 12 seconds for an answer, and
asks three times at most."""
LOOK_SECONDS: Final = 2
FIRST_PAUSE_SECONDS: Final = 1
LONGEST_PAUSE_SECONDS: Final = 4
"""Until a launch that was turned away is made again."""
SETTLING_SECONDS: Final = 2
"""Where AWS refuses for good, until the run fails."""


def main() -> None:
    """Works until it is ended."""
    retries.FIRST_PAUSE_SECONDS = FIRST_PAUSE_SECONDS  # type: ignore[misc]
    retries.LONGEST_PAUSE_SECONDS = LONGEST_PAUSE_SECONDS  # type: ignore[misc]
    passing_trouble.SETTLING_SECONDS = SETTLING_SECONDS  # type: ignore[misc]
    waiting_runs.LAUNCH_SECONDS = LAUNCH_SECONDS  # type: ignore[misc]
    daemon.WATCH_SECONDS = LOOK_SECONDS  # type: ignore[misc]
    daemon.RECONCILE_SECONDS = LOOK_SECONDS  # type: ignore[misc]
    daemon.run(sys.argv[1:])


if __name__ == "__main__":
    main()
