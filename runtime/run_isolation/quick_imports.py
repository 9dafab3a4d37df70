"""Importing with the garbage collector held back."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

COLLECT_AFTER: Final = 50_000
"""So many new objects, where Python's own threshold is 700 (``gc.get_threshold()`` in Python 3.11).
What an import makes is hardly ever garbage, and a server at a quarter of a vCPU has no time to look
for it."""


@contextmanager
def quick_imports() -> Iterator[None]:
    """Around imports: the collector works as it did before, afterwards."""
    usual = gc.get_threshold()
    gc.set_threshold(COLLECT_AFTER, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)
