"""The processes of a run: the one on record, all its descendants, and its steps.

Runs in: server; run, where it is isolated and measures itself.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from run_isolation.dagster.processes import linux

_POLL_SECONDS: Final = 0.02


def processes(pid: int) -> list[int]:
    """All processes of the run, the one on record first; none where that one is gone.

    The steps of a run that was forked are its siblings: children of its keeper, which leads the
    session of all of them. An isolated run is in the session of whoever measures it, which may be
    led from outside of the container: then its id is 0, below which is everything.
    """
    try:
        session = os.getsid(pid)
    except ProcessLookupError:
        return []
    top = pid if session in (0, pid, os.getsid(0)) else session
    return [pid, *(one for one in linux.descendants(top) if one != pid)]


def kill(them: Iterable[int]) -> None:
    """Ends them at once. The first one first, so that it can't tell of its children's ends."""
    for pid in them:
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def wait_until_dead(them: Iterable[int], seconds: float) -> None:
    """Waits until killed processes have given their memory back, at most so many seconds.

    Not by ``waitpid``, which would reap children that multiprocessing waits for.
    """
    deadline = time.monotonic() + seconds
    for pid in them:
        while not linux.is_over(pid) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
