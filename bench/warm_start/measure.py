"""The benchmark `warm_start`."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

from dagster import DagsterEventType, DagsterRunStatus
from rich.console import Console

from bench.harness import Better, Cell, Row, interleaved
from bench.warm_start.contenders import OURS, PEER, Contender, Start, contenders, tick
from bench.warm_start.held import added_mib, locked, most, works
from localaws.ecs.cgroups import CPU_UNITS
from tests.code_server.container import Limits, container
from tests.code_server.runs import Runs

SEED: Final = 20261128

Values = Mapping[str, Sequence[float] | None]


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes:
        starts: Of each server.
        runs: In process, of each server.
        default_runs: With the default executor.
        held: Runs that are held for their memory.
        most: When to stop looking for the container's end; 0 does not look.
        ticks: Of the sensor.
        limits: Of each container.
    """

    starts: int = 3
    runs: int = 7
    default_runs: int = 3
    held: int = 4
    most: int = 40
    ticks: int = 15
    limits: Limits | None = Limits(cpu=CPU_UNITS // 4, memory=1024)  # noqa: RUF009


FULL: Final = Plan()
QUICK: Final = Plan(starts=1, runs=1, default_runs=1, held=1, most=0, ticks=1, limits=None)
"""Says nothing of speed: for tests of this benchmark."""


def measure(progress: Console, plan: Plan = FULL) -> tuple[list[Row], list[Cell]]:
    """Measures both servers; takes some ten minutes on a quiet machine."""
    with ExitStack() as exits:
        directory = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="bench-warm-")))
        both, storage = exits.enter_context(contenders(directory, plan.limits))
        where = _where(plan, storage)
        progress.print(f"warm_start: {where}")
        progress.print("warm_start: starts")
        rows = list(_starts(both, plan, where))
        with ExitStack() as serving:
            progress.print("warm_start: servers")
            runs = {one.kind.name: serving.enter_context(one.serving()) for one in both}
            for one in runs.values():
                # The first run makes tables and files that the others find.
                _run(one, "pair_in_process", {})
            progress.print("warm_start: runs")
            rows += _runs(runs, plan, where)
            progress.print("warm_start: sensor")
            rows.append(_ticks(runs, plan, directory, where))
            progress.print("warm_start: memory")
            added = {name: added_mib(one, plan.held, directory) for name, one in runs.items()}
            note = f"Memory, each page counted once, before and after each run. {where}"
            rows.append(_row("added_run_mib", "MiB", added, note))
        if plan.limits and plan.most:
            progress.print("warm_start: how many")
            rows.append(_most(both, plan, directory, where))
    return rows, []


def _where(plan: Plan, storage: str) -> str:
    load = f"Load average before it: {os.getloadavg()[0]:.1f}. Storage: {storage}."
    if plan.limits is None:
        return f"No limits. {load}"
    with container(plan.limits) as tried:
        if tried.why_unlimited:
            return f"This machine allows no limits ({tried.why_unlimited}). {load}"
    return (
        f"Control groups: {plan.limits.cpu / CPU_UNITS:g} vCPU, {plan.limits.memory} MiB each. "
        f"{load}"
    )


def _starts(both: Sequence[Contender], plan: Plan, where: str) -> Iterator[Row]:
    seen: dict[str, list[Start]] = {one.kind.name: [] for one in both}

    def start(one: Contender) -> float:
        seen[one.kind.name].append(one.start())
        return seen[one.kind.name][-1].ready

    ready = interleaved({one.kind.name: partial(start, one) for one in both}, plan.starts)
    yield _row("server_ready_s", "s", ready, f"From the command to a health check. {where}")
    idle = {name: [each.idle_mib for each in starts] for name, starts in seen.items()}
    note = f"Memory of all processes of a server without runs, each page counted once. {where}"
    yield _row("idle_server_mib", "MiB", idle, note)
    warm = [each.warm for each in seen[OURS] if each.warm is not None]
    if warm:
        note = f"From the health check to a template that forks; 0: it was there before. {where}"
        yield Row(
            metric="warm_after_ready_s",
            unit="s",
            better="lower",
            ours=round(sorted(warm)[len(warm) // 2], 3),
            peers={PEER: None},
            ratio=1.0,
            runs=len(warm),
            note=note,
        )


def _run(runs: Runs, job: str, ends: dict[str, list[float]]) -> float:
    """Seconds from StartRun to RUN_START; to RUN_SUCCESS go to ``ends``."""
    run = runs.create(job)
    began = time.time()
    result = runs.start(run)
    assert result.success, result
    ended = runs.ended(run)
    assert ended.status is DagsterRunStatus.SUCCESS, runs.told(run)
    end = runs.reaches(run, DagsterEventType.RUN_SUCCESS)
    ends.setdefault(runs.server.kind.name, []).append(end - began)
    return runs.reaches(run, DagsterEventType.RUN_START) - began


def _runs(servers: Mapping[str, Runs], plan: Plan, where: str) -> Iterator[Row]:
    in_process: dict[str, list[float]] = {}
    starts = interleaved(_each(servers, "pair_in_process", in_process), plan.runs)
    yield _row("run_start_s", "s", starts, f"From StartRun to the event RUN_START. {where}")
    how = f"Two assets, one after the other. From StartRun to the event RUN_SUCCESS. {where}"
    yield _row("run_end_in_process_s", "s", in_process, how)
    default: dict[str, list[float]] = {}
    interleaved(_each(servers, "pair", default), plan.default_runs)
    yield _row("run_end_default_executor_s", "s", default, how)


def _each(
    servers: Mapping[str, Runs], job: str, ends: dict[str, list[float]]
) -> dict[str, Callable[[], float]]:
    return {name: partial(_run, one, job, ends) for name, one in servers.items()}


def _ticks(servers: Mapping[str, Runs], plan: Plan, directory: Path, where: str) -> Row:
    with locked(directory) as lock:
        burning = {name: works(one, "burning", "burn", lock) for name, one in servers.items()}
        for one in servers.values():
            tick(one)
        dice = Random(SEED)
        ticks = {name: partial(_tick_sometime, one, dice) for name, one in servers.items()}
        values = interleaved(ticks, plan.ticks)
    for name, run in burning.items():
        servers[name].ended(run)
    note = (
        "One evaluation, at any time, of a sensor that takes 60 ms of CPU time and skips, beside "
        f"one run that keeps a CPU busy. {where}"
    )
    return _row("sensor_tick_under_load_s", "s", values, note)


def _tick_sometime(runs: Runs, dice: Random) -> float:
    """A container gets its CPU time every 100 ms: who asks after an answer finds some left."""
    time.sleep(dice.uniform(0, 0.5))
    return tick(runs)


def _most(both: Sequence[Contender], plan: Plan, directory: Path, where: str) -> Row:
    values: dict[str, list[float]] = {}
    whys = []
    for one in both:
        with one.serving() as runs:
            number, why = most(runs, plan.most, directory)
        values[one.kind.name] = [float(number)]
        whys.append(f"{one.kind.name}: {why}.")
    note = (
        "Runs that wait, in process, started one after the other until one is refused or lost. "
        f"{' '.join(whys)} {where}"
    )
    return _row("runs_in_1gib", "runs", values, note, "higher")


def _row(metric: str, unit: str, values: Values, note: str, better: Better = "lower") -> Row:
    ours = values[OURS]
    assert ours, metric
    peers = {name: one for name, one in values.items() if name != OURS}
    return Row.of(metric, unit, better, ours, peers, note)
