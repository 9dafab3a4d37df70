"""The named steps of `make up`: each says how it ended and how long it took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape

from tools.local.errors import ExitCode, StepError


@dataclass
class Step:
    """A step in progress. Set `outcome` to say more than its name."""

    name: str
    outcome: str = ""


@contextmanager
def step(console: Console, name: str, exit_code: ExitCode) -> Iterator[Step]:
    """Run the block as a step.

    Args:
        console: where its line is printed.
        name: what exists once the step is done.
        exit_code: how the command ends where the step fails.

    Raises:
        SystemExit: the step failed with a StepError.
    """
    current = Step(name)
    start = time.monotonic()
    try:
        yield current
    except StepError as error:
        line = f"[red]✗[/] [bold]{escape(name)}[/]: {escape(error.reason)}"
        console.print(line, soft_wrap=True, highlight=False)
        if error.log:
            console.print(f"  log: {error.log}", soft_wrap=True, highlight=False)
        raise SystemExit(exit_code) from error
    outcome = f": {escape(current.outcome)}" if current.outcome else ""
    seconds = time.monotonic() - start
    console.print(f"[green]✓[/] [bold]{escape(name)}[/]{outcome} [dim]({seconds:.1f} s)[/]")
