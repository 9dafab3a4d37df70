"""Which of the newly imported modules keeps an object."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, Final

_DEPTH: Final = 4
"""Most objects between a module and what is looked for: module, engine, pool, connection."""
_WIDTH: Final = 200
"""Most objects that are followed at once; something that all refer to tells nothing."""


class Owners:
    """The modules that may be an owner.

    Args:
        names: Of those that were imported with user code.
    """

    def __init__(self, names: set[str]) -> None:
        self._names = names

    def of(self, find: Callable[[], Sequence[Any]]) -> str | None:
        """Name of the module that keeps what is found, at the end of a chain of references."""
        modules = {
            id(vars(module)): name
            for name in self._names
            if (module := sys.modules.get(name)) is not None and hasattr(module, "__dict__")
        }
        seeking = list(find())
        seen: set[int] = set()
        for _ in range(_DEPTH):
            referrers = gc.get_referrers(*seeking) if seeking else []
            for referrer in referrers:
                if id(referrer) in modules:
                    return modules[id(referrer)]
            seeking = [
                referrer
                for referrer in referrers
                if id(referrer) not in seen and not isinstance(referrer, FrameType)
            ][:_WIDTH]
            seen.update(map(id, seeking))
        return None
