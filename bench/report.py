"""Results as tables: for the terminal and for the README."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from bench.harness import Cell, Row

README: Final = Path(__file__).parent.parent / "README.md"
_BETWEEN_MARKERS: Final = re.compile(r"(<!-- bench -->\n).*?(<!-- /bench -->)", re.DOTALL)


def show(title: str, rows: Sequence[Row], cells: Sequence[Cell], console: Console) -> None:
    """Prints the results of one benchmark."""
    for grid in _grids(rows, cells):
        table = Table(title=title, show_lines=True)
        for heading in grid[0]:
            table.add_column(heading, overflow="fold")
        for line in grid[1:]:
            table.add_row(*line)
        console.print(table)
    for row in rows:
        console.print(f"{row.metric}: {row.note}", highlight=False)


def markdown(title: str, rows: Sequence[Row], cells: Sequence[Cell], legend: str) -> str:
    """The results of one benchmark as a section of the README."""
    tables = ("\n".join(_markdown_lines(grid)) for grid in _grids(rows, cells))
    return f"**{title}**\n\n" + "\n\n".join(tables) + f"\n\n{legend}\n"


def write_readme(sections: Sequence[str], readme: Path = README) -> None:
    """Puts the sections between the README's markers.

    Raises:
        ValueError: It has no markers.
    """
    text = readme.read_text()
    body = "\n".join(sections)
    new, found = _BETWEEN_MARKERS.subn(lambda m: f"{m[1]}\n{body}\n{m[2]}", text)
    if not found:
        raise ValueError(f"{readme} has no line <!-- bench --> with a <!-- /bench --> after it.")
    readme.write_text(new)


Grid = list[list[str]]


def _grids(rows: Sequence[Row], cells: Sequence[Cell]) -> Iterator[Grid]:
    if rows:
        yield _rows_grid(rows)
    if cells:
        yield _cells_grid(cells)


def _rows_grid(rows: Sequence[Row]) -> Grid:
    peers = list(dict.fromkeys(name for row in rows for name in row.peers))
    return [
        ["Metric", "ours", *peers, "ours is better than the best by"],
        *(
            [
                f"{row.metric} ({row.unit}, {row.better} is better)",
                f"{row.ours:g}",
                *(_number(row.peers.get(name)) for name in peers),
                f"{row.ratio:.2f}x",
            ]
            for row in rows
        ),
    ]


def _cells_grid(cells: Sequence[Cell]) -> Grid:
    contenders = list(dict.fromkeys(cell.contender for cell in cells))
    faults = list(dict.fromkeys(cell.fault for cell in cells))
    found = {(cell.fault, cell.contender): cell for cell in cells}
    return [
        ["Fault", *contenders],
        *([fault, *(_words(found.get((fault, name))) for name in contenders)] for fault in faults),
    ]


def _words(cell: Cell | None) -> str:
    if cell is None:
        return "-"
    return cell.outcome if cell.kept else f"✗ {cell.outcome}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"


def _markdown_lines(grid: Grid) -> Iterator[str]:
    yield _markdown_line(grid[0])
    yield _markdown_line(["---"] * len(grid[0]))
    yield from map(_markdown_line, grid[1:])


def _markdown_line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
