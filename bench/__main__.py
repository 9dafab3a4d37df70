"""`python -m bench [names]`, behind `make bench`."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Final

import click
from rich.console import Console

from bench import launch, launch_faults, slots, toggle, warm_start
from bench.harness import save, saved
from bench.report import markdown, show, write_readme

BENCHMARKS: Final = {
    "slots": slots,
    "launch": launch,
    "launch_faults": launch_faults,
    "toggle": toggle,
    "warm_start": warm_start,
}
"""Packages with a TITLE, a LEGEND and, in their module ``measure``, a ``measure()``."""


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(sorted(BENCHMARKS)))
@click.option("--json", "as_json", is_flag=True, help="Print the rows as JSON.")
@click.option("--saved", "only_saved", is_flag=True, help="Measure nothing: show the last results.")
def main(names: tuple[str, ...], as_json: bool, only_saved: bool) -> None:
    """Measure (all, or the NAMES), keep the results and write them into the README."""
    progress = Console(stderr=True)
    for name in names or BENCHMARKS:
        if not only_saved:
            save(name, *import_module(f"bench.{name}.measure").measure(progress))
        rows, cells = saved(name)
        if as_json:
            click.echo(f"[{','.join(row.model_dump_json() for row in [*rows, *cells])}]")
        else:
            show(BENCHMARKS[name].TITLE, rows, cells, Console())
    write_readme(
        [markdown(each.TITLE, *saved(name), each.LEGEND) for name, each in BENCHMARKS.items()]
    )


if __name__ == "__main__":
    sys.exit(main())
