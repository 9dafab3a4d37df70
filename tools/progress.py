"""Progress of long work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


@contextmanager
def working(console: Console, what: str) -> Iterator[Callable[[str], None]]:
    """Show a spinner and the elapsed time while the block runs; without a terminal, a line.

    Yields:
        A function that adds what is going on right now. Only a terminal shows it.
    """
    if not console.is_terminal:
        console.print(f"{what} ...", markup=False)
        yield lambda now: None
        return
    columns = (SpinnerColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(escape(what), total=None)
        yield lambda now: progress.update(task, description=escape(f"{what}: {now}"))
