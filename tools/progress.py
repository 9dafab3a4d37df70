"""Progress of long work."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

LINE_SECONDS: Final = 15.0
"""Between two lines where there is no terminal."""


@contextmanager
def working(console: Console, what: str) -> Iterator[Callable[[str], None]]:
    """Show a spinner and the elapsed time while the block runs; without a terminal, lines.

    Yields:
        A function that says what is going on right now. A terminal shows it at once; else there is
        a line every 15 seconds.
    """
    if not console.is_terminal:
        console.print(f"{what} ...", markup=False, highlight=False, soft_wrap=True)
        with _lines(console, what) as show:
            yield show
        return
    columns = (SpinnerColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(escape(what), total=None)
        yield lambda now: progress.update(task, description=escape(f"{what}: {now}"))


@contextmanager
def _lines(console: Console, what: str) -> Iterator[Callable[[str], None]]:
    began, over, going_on = time.monotonic(), threading.Event(), ""

    def show(now: str) -> None:
        nonlocal going_on
        going_on = f": {now}"

    def tell() -> None:
        while not over.wait(LINE_SECONDS):
            line = f"{what}, {time.monotonic() - began:.0f} s{going_on}"
            console.print(line, markup=False, highlight=False, soft_wrap=True)

    thread = threading.Thread(target=tell, name="lines", daemon=True)
    thread.start()
    try:
        yield show
    finally:
        over.set()
        thread.join()
