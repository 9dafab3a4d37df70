"""The log of our own decisions: each module has a logger by its name, below ``run_isolation``.

At level ``debug`` they say of each run what was decided and why. Levels above are for what somebody
has to know: ``info`` what was done to slots and tasks, ``warning`` what goes on in another way than
it should.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Final

VARIABLE: Final = "RUN_ISOLATION_LOG_LEVEL"
"""Environment variable with the lowest level that is written to stderr. Without it these loggers
are as any other's: Python writes warnings to stderr, and a program may configure more."""
LEVELS: Final = ("debug", "info", "warning", "error")
_FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def use_level(environment: Mapping[str, str] = os.environ) -> None:
    """Has our loggers write to stderr, where the environment says so.

    Raises:
        ValueError: It names no level.
    """
    asked = environment.get(VARIABLE)
    if not asked:
        return
    if asked.lower() not in LEVELS:
        raise ValueError(f"{VARIABLE} is {asked!r}. Allowed: {', '.join(LEVELS)}.")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(_FORMAT))
    ours = logging.getLogger("run_isolation")
    ours.addHandler(handler)
    ours.setLevel(asked.upper())
