"""Runs that stay: how much memory each takes, and how many there is room for."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from dagster import DagsterEventType, DagsterRun

from bench.warm_start.contenders import until
from tests.code_server.runs import Runs

START_SECONDS: Final = 120
"""For one more run to begin its work; a container that is full may let it wait for ever."""


@contextmanager
def locked(directory: Path) -> Iterator[Path]:
    """A file that ops wait for; they end with the block."""
    path = directory / "lock"
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield path


def works(runs: Runs, job: str, op: str, lock: Path) -> DagsterRun:
    """Starts a run; returns when its op has begun.

    Raises:
        TimeoutError: It did not begin.
    """
    run = runs.launch(job, until(op, lock))
    runs.reaches(run, DagsterEventType.STEP_START, START_SECONDS)
    return run


def added_mib(runs: Runs, number: int, directory: Path) -> list[float]:
    """Memory that each of ``number`` runs adds to all processes there."""
    added = []
    with locked(directory) as lock:
        before = runs.server.container.memory_mib()
        held = []
        for _ in range(number):
            held.append(works(runs, "held", "hold", lock))
            now = runs.server.container.memory_mib()
            added.append(now - before)
            before = now
    for run in held:
        runs.ended(run)
    return added


def most(runs: Runs, limit: int, directory: Path) -> tuple[int, str]:
    """Starts runs until one is refused or lost, or the server is; ends with an empty container.

    Returns:
        How many were there together at most, and what came then.
    """
    with locked(directory) as lock:
        held: list[DagsterRun] = []
        why = f"stopped at {limit}"
        while len(held) < limit:
            try:
                run = works(runs, "held", "hold", lock)
            except Exception as error:
                why = f"one more did not begin ({type(error).__name__})"
                break
            lost = [one for one in held if runs.read(one).is_finished]
            if lost or not runs.server.is_healthy():
                why = "a run was lost" if lost else "the server did not answer"
                break
            held.append(run)
        runs.server.container.kill()
    return len(held), why
