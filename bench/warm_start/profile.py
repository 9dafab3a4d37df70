"""Where the time of a warm run goes: `python -m bench.warm_start.profile`.

Three looks at runs of our server, in a container of 0.25 vCPU where the machine allows it: when
each event happened, what a run's processes still import (``-X importtime``), and which functions
were on the stack (py-spy).
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.table import Table

from bench.warm_start.contenders import Contender, contenders
from bench.warm_start.measure import FULL
from tests.code_server.runs import Runs
from tests.code_server.servers import BIN

JOBS: Final = ("pair_in_process", "pair")
SAMPLED_RUNS: Final = 10
RATE: Final = 250
"""Samples of py-spy in a second."""
SHOWN: Final = 60
_IMPORT: Final = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \|(\s*)(\S+)")

_OUTERMOST: Final = "warm/child.py"
"""What is further out is the same for all that a run's process does."""

Line = tuple[float, str]
"""Milliseconds, and what they are of."""


def timeline(runs: Runs, job: str) -> list[Line]:
    """When each event of a run happened, since StartRun was called."""
    run = runs.create(job)
    began = time.time()
    runs.start(run)
    answered = time.time()
    runs.ended(run)
    lines = [((answered - began) * 1000, "(StartRun is answered)")]
    for entry in runs.instance.all_logs(run.run_id):
        event = entry.dagster_event
        if event is not None and entry.timestamp >= began:
            step = f" {event.step_key}" if event.step_key else ""
            lines.append(((entry.timestamp - began) * 1000, f"{event.event_type_value}{step}"))
    return sorted(lines)


def imports(text: str) -> list[Line]:
    """What was imported, from the lines of ``-X importtime``: only the outermost modules."""
    found = [_IMPORT.match(line) for line in text.splitlines()]
    outermost = (match for match in found if match and len(match[3]) <= 1)
    return sorted(((int(match[2]) / 1000, match[4]) for match in outermost), reverse=True)


def functions(stacks: Iterable[str], runs: int) -> list[Line]:
    """Milliseconds of each run that each function was on the stack, callees counted in.

    Args:
        stacks: Lines of py-spy's format ``raw``: frames from the outermost on, and a number.
        runs: In how many runs they were taken.
    """
    samples: Counter[str] = Counter()
    for line in stacks:
        frames, _, number = line.rpartition(" ")
        parts = frames.split(";")
        ours = [place for place, part in enumerate(parts) if _OUTERMOST in part]
        if ours:
            samples.update(dict.fromkeys(parts[ours[-1] :], int(number)))
    return [(count * 1000 / RATE / runs, name) for name, count in samples.most_common(SHOWN)]


@contextmanager
def sampled(pid: int, directory: Path) -> Iterator[Path]:
    """Lets py-spy look at a server and its children during the block; the file of its stacks.

    Raises:
        RuntimeError: There is no py-spy.
    """
    program = shutil.which("py-spy", path=str(BIN)) or shutil.which("py-spy")
    if program is None:
        raise RuntimeError("No py-spy here. `make bench` installs it: bench/requirements.txt.")
    file = directory / "stacks"
    options = ["--subprocesses", "--format", "raw", "--rate", str(RATE), "--output", str(file)]
    process = subprocess.Popen(
        [program, "record", "--pid", str(pid), *options, "--nonblocking"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        yield file
    finally:
        # It writes when it is interrupted.
        process.send_signal(2)
        process.communicate(timeout=60)


def _imported(contender: Contender) -> dict[str, list[Line]]:
    """What each job's run imports in its own processes."""
    found = {}
    variables = {"PYTHONPROFILEIMPORTTIME": "1"}
    with contender.serving(variables) as runs:
        for job in JOBS:
            # The first run may import what a template can't know.
            for _ in range(2):
                before = len(runs.server.said())
                runs.execute(job)
            found[job] = imports(runs.server.said()[before:])
    return found


def _show(console: Console, title: str, lines: Sequence[Line]) -> None:
    table = Table("ms", "what", title=title)
    for milliseconds, what in lines[:SHOWN]:
        table.add_row(f"{milliseconds:.1f}", what)
    console.print(table)


@click.command()
def main() -> None:
    """Print where the time goes."""
    console = Console()
    with tempfile.TemporaryDirectory(prefix="bench-profile-") as name:
        directory = Path(name)
        with contenders(directory, FULL.limits) as (both, storage):
            ours = both[0]
            console.print(f"Storage: {storage}. Limits: {FULL.limits}.")
            for job, lines in _imported(ours).items():
                total = sum(milliseconds for milliseconds, _ in lines)
                _show(console, f"{job}: imported, {total:.0f} ms in all", lines[:SHOWN])
            with ours.serving() as runs:
                console.print(runs.server.container.why_unlimited)
                for job in JOBS:
                    runs.execute(job)
                    _show(console, f"{job}: events since StartRun", timeline(runs, job))
                with sampled(runs.server.process.pid, directory) as stacks:
                    for _ in range(SAMPLED_RUNS):
                        runs.execute(JOBS[0])
                lines = functions(stacks.read_text().splitlines(), SAMPLED_RUNS)
                _show(console, f"{JOBS[0]}: on the stack, callees counted in", lines)


if __name__ == "__main__":
    main()
