"""What every benchmark shares: interleaved runs, medians, rows of results."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter

RESULTS: Final = Path(__file__).parent / "results"

Better = Literal["lower", "higher"]


class Row(BaseModel):
    """One metric, ours beside the rivals'. Values are medians of the runs."""

    model_config = ConfigDict(frozen=True)

    metric: str
    unit: str
    better: Better
    ours: float
    peers: dict[str, float | None]
    """By name. None: the rival can't do it, and the note says why."""
    ratio: float
    """How many times better ours is than the best of the peers."""
    runs: int
    note: str

    @classmethod
    def of(
        cls,
        metric: str,
        unit: str,
        better: Better,
        ours: Sequence[float],
        peers: Mapping[str, Sequence[float] | None],
        note: str,
    ) -> Row:
        """A row from the values of each run."""
        middles = {name: _rounded(median(v)) if v else None for name, v in peers.items()}
        own = _rounded(median(ours))
        return cls(
            metric=metric,
            unit=unit,
            better=better,
            ours=own,
            peers=middles,
            ratio=round(_ratio(own, [v for v in middles.values() if v is not None], better), 2),
            runs=len(ours),
            note=note,
        )


class Cell(BaseModel):
    """What one contender did under one fault. Nothing in it is written by hand."""

    model_config = ConfigDict(frozen=True)

    fault: str
    contender: str
    outcome: str
    """In words, made from what was observed."""
    kept: bool
    """Whether it never let in too many, nor misled its caller."""
    observed: dict[str, bool | int | float | str | None]


_ROWS: Final = TypeAdapter(list[Row])
_CELLS: Final = TypeAdapter(list[Cell])


def interleaved(contenders: Mapping[str, Callable[[], float]], runs: int) -> dict[str, list[float]]:
    """Runs all contenders in turn, ``runs`` times, each time from another one on.

    So a machine that gets slower or faster meanwhile does so for all of them.
    """
    names = list(contenders)
    values: dict[str, list[float]] = {name: [] for name in names}
    for run in range(runs):
        shift = run % len(names)
        for name in names[shift:] + names[:shift]:
            values[name].append(contenders[name]())
    return values


def save(name: str, rows: Sequence[Row], cells: Sequence[Cell]) -> None:
    """Writes ``results/<name>.json`` and, where there are cells, ``<name>_behaviour.json``.

    Where there are cells alone, ``<name>.json`` has an entry for each fault, with a cell for each
    contender under its name.
    """
    RESULTS.mkdir(exist_ok=True)
    if not rows:
        table = [_entry(fault, cells) for fault in dict.fromkeys(cell.fault for cell in cells)]
        text = json.dumps(table, indent=2, ensure_ascii=False)
        _rows_of(name).write_text(f"{text}\n", encoding="utf-8")
        return
    _rows_of(name).write_bytes(_ROWS.dump_json(list(rows), indent=2) + b"\n")
    if cells:
        _cells_of(name).write_bytes(_CELLS.dump_json(list(cells), indent=2) + b"\n")


def saved(name: str) -> tuple[list[Row], list[Cell]]:
    """The results of the last run; empty lists where there was none."""
    rows, cells = _rows_of(name), _cells_of(name)
    content = json.loads(rows.read_bytes()) if rows.exists() else []
    if any("fault" in entry for entry in content):
        return [], [cell for entry in content for cell in _cells_in(entry)]
    return (
        _ROWS.validate_python(content),
        _CELLS.validate_json(cells.read_bytes()) if cells.exists() else [],
    )


def _entry(fault: str, cells: Sequence[Cell]) -> dict[str, Any]:
    own = [cell for cell in cells if cell.fault == fault]
    return {
        "fault": fault,
        **{cell.contender: cell.model_dump(exclude={"fault", "contender"}) for cell in own},
    }


def _cells_in(entry: dict[str, Any]) -> list[Cell]:
    fault = entry["fault"]
    own = {name: cell for name, cell in entry.items() if name != "fault"}
    return [Cell(fault=fault, contender=name, **cell) for name, cell in own.items()]


def _rows_of(name: str) -> Path:
    return RESULTS / f"{name}.json"


def _cells_of(name: str) -> Path:
    return RESULTS / f"{name}_behaviour.json"


def _ratio(ours: float, peers: Sequence[float], better: Better) -> float:
    return ours / max(peers) if better == "higher" else min(peers) / ours


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")
