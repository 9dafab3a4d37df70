"""`python -m tests.torture`, behind `make torture`."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Sequence

import click

from tests.torture.launches.command import launches
from tests.torture.machine import machine
from tests.torture.record import Asked
from tests.torture.slots.command import slots
from tests.torture.standing.command import standing
from tests.torture.surroundings import tell


@click.group(chain=True, invoke_without_command=True)
@click.option("--seed", type=int, help="Of all that is random; new each time.")
@click.option("--json", "as_json", is_flag=True, help="Print reports as JSON.")
@click.option("--record", is_flag=True, help="Keep reports, and write docs/benchmarks.md.")
@click.pass_context
def main(context: click.Context, seed: int | None, *, as_json: bool, record: bool) -> None:
    """Torment parts of the product, all of them or those that are named.

    Exits with 1 if something happened that must never happen.
    """
    seed = secrets.randbelow(1_000_000) if seed is None else seed
    context.obj = Asked(seed, as_json, record)
    tell(f"seed {seed}")


main.add_command(slots)
main.add_command(launches)
main.add_command(standing)
main.add_command(machine)


@main.result_callback()
@click.pass_context
def _end(context: click.Context, /, held: Sequence[bool], **_: object) -> None:
    """After the named ones; does all of them where none is named."""
    held = held or [context.invoke(command) for command in (slots, launches, standing, machine)]
    sys.exit(0 if all(held) else 1)


if __name__ == "__main__":
    main()
