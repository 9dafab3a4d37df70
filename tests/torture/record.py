"""Results of tortures: one file for each seed, and a page that is made from them."""

from __future__ import annotations

import json
import os
import platform
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import click
from rich.console import Console, RenderableType

_CHECKOUT: Final = Path(__file__).parents[2]
RESULTS: Final = _CHECKOUT / "bench" / "results" / "torture"
PAGE: Final = _CHECKOUT / "docs" / "benchmarks.md"
_BETWEEN_MARKERS: Final = re.compile(r"(<!-- torture -->\n).*?(<!-- /torture -->)", re.DOTALL)
_SEED: Final = "seed"
_TITLES: Final = {
    "launches": "Launches",
    "slots": "Slots",
    "standing": "The standing container",
    "standing-spawned": "The standing container, without warm start",
}


class Report(Protocol):
    """What a torture found."""

    seed: int

    @property
    def violated(self) -> int:
        """How often something happened that must never happen."""

    def figures(self) -> Mapping[str, float]:
        """The numbers, and of each kind of violation how many there are, by what they are."""

    def table(self) -> RenderableType:
        """For people."""

    def model_dump_json(self, *, indent: int) -> str:
        """For machines."""


@dataclass(frozen=True)
class Asked:
    """What is asked of every torture.

    Attributes:
        seed: Of all that is random.
        as_json: Whether reports are printed as JSON.
        record: Whether they are kept, and written into the page.
    """

    seed: int
    as_json: bool = False
    record: bool = False

    def held(self, name: str, report: Report) -> bool:
        """Says what a torture found, and returns whether nothing did that must never happen."""
        if self.as_json:
            click.echo(report.model_dump_json(indent=2))
        else:
            Console().print(report.table())
        if self.record:
            keep(name, report)
            write_page()
        return not report.violated


def keep(name: str, report: Report, results: Path = RESULTS) -> None:
    """Writes one torture's figures, over those of the same seed."""
    results.mkdir(parents=True, exist_ok=True)
    kept = {
        "day": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": f"{os.cpu_count()} cores, {platform.system()}",
        "python": platform.python_version(),
        "figures": {_SEED: report.seed, **report.figures()},
    }
    (results / f"{name}-{report.seed}.json").write_text(json.dumps(kept, indent=2) + "\n")


def write_page(page: Path = PAGE, results: Path = RESULTS) -> None:
    """Puts what is kept between the page's markers.

    Raises:
        click.ClickException: It has none.
    """
    by_name: dict[str, list[dict[str, Any]]] = {}
    for file in sorted(results.glob("*-*.json")):
        by_name.setdefault(file.stem.rpartition("-")[0], []).append(json.loads(file.read_text()))
    lines = "\n".join(line for name, kept in by_name.items() for line in _section(name, kept))
    text, found = _BETWEEN_MARKERS.subn(lambda m: f"{m[1]}\n{lines}\n{m[2]}", page.read_text())
    if not found:
        raise click.ClickException(
            f"{page} has no line <!-- torture --> with <!-- /torture --> after."
        )
    page.write_text(text)


def _section(name: str, kept: list[dict[str, Any]]) -> Iterator[str]:
    """A column for each seed, a line for each figure."""
    kept = sorted(kept, key=lambda one: one["figures"][_SEED])
    yield f"### {_TITLES[name]}"
    yield ""
    yield _row("", *(f"seed {one['figures'][_SEED]}" for one in kept))
    yield _row(*["---"] * (len(kept) + 1))
    names = dict.fromkeys(figure for one in kept for figure in one["figures"])
    for figure in [each for each in names if each != _SEED]:
        yield _row(figure, *(_shown(one["figures"].get(figure)) for one in kept))
    yield ""
    yield (
        "; ".join(
            dict.fromkeys(f"{one['machine']}, Python {one['python']}, {one['day']}" for one in kept)
        )
        + "."
    )
    yield ""


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _shown(figure: float | None) -> str:
    return "-" if figure is None else f"{figure:,}"
