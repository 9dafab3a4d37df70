"""What every torture has around it: a directory, progress now and then, a report."""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rich.console import Console

PROGRESS_SECONDS: Final = 15


@contextmanager
def directory(*, keep: bool) -> Iterator[Path]:
    """A directory for logs and data, which is removed afterwards unless it is to be kept."""
    # The library warns of what is done to it here, a thousand times.
    logging.disable(logging.WARNING)
    made = Path(tempfile.mkdtemp(prefix="torture-"))
    try:
        yield made
    finally:
        if keep:
            tell(f"logs: {made}")
        else:
            shutil.rmtree(made, ignore_errors=True)


def tell(text: str) -> None:
    """Says something beside the report."""
    Console(stderr=True).print(text)


def now_and_then(what: str) -> Callable[[int], None]:
    """Makes what tells how many there are, but not each time."""
    last = time.monotonic()

    def progress(done: int) -> None:
        nonlocal last
        if time.monotonic() - last > PROGRESS_SECONDS:
            last = time.monotonic()
            tell(f"{done} {what}")

    return progress
