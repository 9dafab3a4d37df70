"""The benchmark `launch`."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from rich.console import Console

from bench.harness import Cell, Row, interleaved
from bench.launch.contenders import (
    DEFAULTS,
    OURS,
    PINNED,
    Contender,
    Defaults,
    Ours,
    Pinned,
    dagster_launcher,
)
from bench.launch.place import Place, place
from bench.launch.prefect_peer import PREFECT, prefect
from run_isolation.dagster.deployment import FRESH_SECONDS

RUNS: Final = 15
CALL_SECONDS: Final = 0.02
"""How much longer each AWS call takes while time is measured: about as long as it does on AWS."""
COUNTED: Final = 3
"""Of how many launches the calls are counted, after a first one."""
HEALTHY_RUNS: Final = 100

_HONEST: Final = (
    "A pinned EcsRunLauncher also makes one call: all that it looks up is in its config."
)


def measure(progress: Console) -> tuple[list[Row], list[Cell]]:
    """Measures all contenders; takes some three minutes on a quiet machine."""
    # EcsRunLauncher's defaults use a function that dagster-aws calls deprecated.
    warnings.simplefilter("ignore")
    with ExitStack() as exits:
        directory = exits.enter_context(tempfile.TemporaryDirectory(prefix="bench-launch-"))
        where = exits.enter_context(place(Path(directory)))
        progress.print("launch: Prefect's environment")
        contenders: list[Contender] = [
            *(exits.enter_context(dagster_launcher(k, where)) for k in (Ours, Defaults, Pinned)),
            exits.enter_context(prefect(where)),
        ]
        by_name = {one.name: one for one in contenders}
        # The first launch registers task definitions, and fills caches.
        where.reset()
        for contender in contenders:
            contender.launch()
        progress.print("launch: calls")
        rows = list(_calls(where, by_name))
        progress.print("launch: time")
        rows += _times(where, by_name)
        where.stop_tasks()
    return rows, []


def _calls(where: Place, contenders: Mapping[str, Contender]) -> Iterator[Row]:
    launches = {name: _count(where, one.launch, one.launch) for name, one in contenders.items()}
    yield _row(
        "aws_calls_per_launch",
        "calls",
        launches,
        f"After the first one. Ours also reads its manifest, at most once in {FRESH_SECONDS} s, "
        f"however many runs it launches. {_HONEST}",
    )
    ends = {name: _count(where, one.terminate, one.launch) for name, one in contenders.items()}
    yield _row("aws_calls_per_terminate", "calls", ends, "Of a run that has started.")
    looks = {name: one.look_after(HEALTHY_RUNS) for name, one in contenders.items()}
    yield _row(
        "aws_calls_health_100_runs",
        "calls",
        {name: None if count is None else [count] for name, count in looks.items()},
        f"One round of Dagster's run monitor over {HEALTHY_RUNS} STARTED runs. Prefect's worker "
        "asks ECS nothing: it reads ECS's events from a queue that the user provides.",
    )


def _count(
    where: Place, act: Callable[[], object], before: Callable[[], object] = lambda: None
) -> list[float]:
    counts: list[float] = []
    for _ in range(COUNTED):
        before()
        where.reset()
        act()
        counts.append(len(where.account.calls()))
    return counts


def _times(where: Place, contenders: Mapping[str, Contender]) -> Iterator[Row]:
    where.reset(CALL_SECONDS)
    load = os.getloadavg()[0]
    values = interleaved({name: one.launch for name, one in contenders.items()}, RUNS)
    how = (
        f"Wall time of one launch; each AWS call takes {CALL_SECONDS * 1000:.0f} ms longer than "
        "on this machine. Ours and EcsRunLauncher: the launcher's "
        f"launch_run, with what it reads and writes in Dagster's storage ({where.storage.name}). "
        f"Load average before it: {load:.1f}."
    )
    for metric, peer, note in (
        ("launch_s_vs_defaults", DEFAULTS, ""),
        ("launch_s_vs_pinned", PINNED, f" {_HONEST}"),
        (
            "launch_s_vs_prefect",
            PREFECT,
            " Prefect: its worker's own launch, which writes nothing.",
        ),
    ):
        both = {name: values[name] for name in (OURS, peer)}
        yield _row(metric, "s", both, how + note)


def _row(metric: str, unit: str, values: Mapping[str, Sequence[float] | None], note: str) -> Row:
    peers = {name: one for name, one in values.items() if name != OURS}
    return Row.of(metric, unit, "lower", values[OURS] or [], peers, note)
