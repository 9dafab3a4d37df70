"""Waiting for what only looking again can tell, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE_SECONDS = 60.0
INTERVAL_SECONDS = 0.1


def eventually(
    look: Callable[[], T | None],
    what: str | Callable[[], str],
    seconds: float = PATIENCE_SECONDS,
) -> T:
    """The first answer of `look` that is true.

    Raises:
        TimeoutError: There was none within `seconds`; the text says `what` was waited for.
    """
    deadline = time.monotonic() + seconds
    while not (answer := look()):
        if time.monotonic() > deadline:
            wanted = what if isinstance(what, str) else what()
            raise TimeoutError(f"not within {seconds:g} s: {wanted}")
        time.sleep(INTERVAL_SECONDS)
    return answer
