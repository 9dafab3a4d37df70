"""The benchmark `launch_faults`: the fault table of tests/faults, for both launchers."""

from __future__ import annotations

import tempfile
import warnings
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from bench.harness import Cell, Row
from tests.faults.contenders import ECS_RUN_LAUNCHER, OURS
from tests.faults.stage import Seen
from tests.faults.table import FAULTS, Fault
from tests.faults.theatre import Theatre, theatre


def measure(progress: Console) -> tuple[list[Row], list[Cell]]:
    """Runs the whole table; takes some fifteen minutes."""
    warnings.simplefilter("ignore")
    with (
        tempfile.TemporaryDirectory(prefix="bench-launch-faults-") as directory,
        theatre(Path(directory), quick=False) as opened,
    ):
        cells = []
        for fault in FAULTS:
            progress.print(f"launch_faults: {fault.name}")
            cells += [_cell(fault, name, opened) for name in _who_meets(fault)]
    return [], cells


def words(seen: Seen) -> str:
    """What was seen, in words."""
    parts = [
        seen.status if seen.ended else f"{seen.status} for ever",
        f"after {seen.seconds:.0f} s" if seen.ended else f"nothing after {seen.seconds:.0f} s",
    ]
    if seen.steps > 1:
        parts = [f"{seen.steps_good} of {seen.steps} end well"]
        if seen.steps_good < seen.steps:
            parts.append(f"killed at {seen.step}: {seen.status}")
    elif not seen.executed:
        parts.append("its code never began")
    if seen.executed > 1:
        parts.append(f"executed {seen.executed} times")
    if seen.ended and not seen.true:
        parts.append("which is not true")
    if seen.tasks_left:
        parts.append(f"{seen.tasks_left} tasks left")
    if seen.slots_left:
        parts.append(f"{seen.slots_left} slots left")
    if not seen.told and seen.status != "SUCCESS":
        parts.append("does not say why")
    return ", ".join(parts)


def _who_meets(fault: Fault) -> list[str]:
    return [OURS, ECS_RUN_LAUNCHER] if fault.theirs else [OURS]


def _cell(fault: Fault, name: str, opened: Theatre) -> Cell:
    with opened.stage(name) as stage:
        seen = fault.meet(stage)
    return Cell(
        fault=fault.name,
        contender=name,
        outcome=words(seen),
        kept=fault.held(seen),
        observed=asdict(seen),
    )
