"""How long is long, for every test, and waiting for what only looking again can tell.

Nothing here is a claim about the product: what must be there in time has its own bound, by the test
that says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

PATIENCE_SECONDS: Final = 60.0
"""For whatever a test waits for. A busy machine takes its time; a test that waits for so long has
failed."""
OFTEN_SECONDS: Final = 0.05
SELDOM_SECONDS: Final = 0.5
LATER: Final = 0.1
"""By which share of the time until now an answer may be found later than it is there. To look takes
CPU time, which those who are waited for need."""


def eventually(
    look: Callable[[], T | None],
    what: str | Callable[[], str] = "",
    seconds: float = PATIENCE_SECONDS,
) -> T:
    """The first answer of `look` that is true; for what no event tells.

    Raises:
        TimeoutError: There was none within `seconds`; the text says `what` was waited for, or where
            `look` is.
    """
    begun = time.monotonic()
    while not (answer := look()):
        waited = time.monotonic() - begun
        if waited > seconds:
            wanted = what if isinstance(what, str) else what()
            raise TimeoutError(f"not within {seconds:g} s: {wanted or _place(look)}")
        time.sleep(min(max(OFTEN_SECONDS, LATER * waited), SELDOM_SECONDS))
    return answer


def _place(look: Callable[[], object]) -> str:
    code = getattr(look, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else repr(look)
