"""Waiting for what only looking again can tell, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE_SECONDS = 60.0
OFTEN_SECONDS = 0.05
SELDOM_SECONDS = 0.5
LATER = 0.1
"""By which share of the time until now an answer may be found later than it is there. To look takes
CPU time, which those who are waited for need."""


def eventually(
    look: Callable[[], T | None],
    what: str | Callable[[], str],
    seconds: float = PATIENCE_SECONDS,
) -> T:
    """The first answer of `look` that is true.

    Raises:
        TimeoutError: There was none within `seconds`; the text says `what` was waited for.
    """
    begun = time.monotonic()
    while not (answer := look()):
        waited = time.monotonic() - begun
        if waited > seconds:
            wanted = what if isinstance(what, str) else what()
            raise TimeoutError(f"not within {seconds:g} s: {wanted}")
        time.sleep(min(max(OFTEN_SECONDS, LATER * waited), SELDOM_SECONDS))
    return answer
