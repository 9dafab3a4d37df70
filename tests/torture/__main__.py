"""`python -m tests.torture`, behind `make torture`."""

from __future__ import annotations

import logging
import secrets
import shutil
import sys
import tempfile
from pathlib import Path

import click
from rich.console import Console

from run_isolation import slots
from tests.slots.parts import Parts
from tests.slots.twins import TWINS
from tests.torture.run import torture
from tests.torture.supervisor import Plan
from tools.dynamodb_local import UnavailableError


@click.command()
@click.option("--seed", type=int, help="Of the violence and the network; new each time.")
@click.option("--acquires", default=20_000, show_default=True, help="Ends when so many got a slot.")
@click.option("--launchers", default=64, show_default=True, help="Launcher processes.")
@click.option("--servers", default=4, show_default=True, help="Standing servers.")
@click.option("--limit", default=16, show_default=True, help="Slots.")
@click.option("--run-seconds", default=0.15, show_default=True, help="Mean duration of a run.")
@click.option("--pause", default=1.0, show_default=True, help="Mean seconds between violence.")
@click.option("--most-seconds", default=3600.0, show_default=True, help="Ends then at the latest.")
@click.option("--twin", type=click.Choice(list(TWINS)), help="Remove one guard: it must fail.")
@click.option("--keep", is_flag=True, help="Keep the logs.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def main(
    seed: int | None,
    acquires: int,
    launchers: int,
    servers: int,
    limit: int,
    run_seconds: float,
    pause: float,
    most_seconds: float,
    twin: str | None,
    keep: bool,
    as_json: bool,
) -> None:
    """Torment slots: real processes, random SIGKILL and SIGSTOP, a network that loses and repeats.

    Exits with 1 if more runs were ever alive than the limit allows, a run was executed twice, or a
    slot stayed leaked.
    """
    # The library warns of what is done to it here, a thousand times.
    logging.disable(logging.WARNING)
    progress = Console(stderr=True)
    seed = secrets.randbelow(1_000_000) if seed is None else seed
    progress.print(f"seed {seed}")
    plan = Plan(seed, acquires, launchers, servers, limit, run_seconds, pause, most_seconds)
    directory = Path(tempfile.mkdtemp(prefix="torture-"))
    try:
        report = torture(
            plan, _parts(twin), directory, lambda done: progress.print(f"{done} acquires")
        )
    except UnavailableError as error:
        raise click.ClickException(str(error)) from error
    finally:
        if keep:
            progress.print(f"logs: {directory}")
        else:
            shutil.rmtree(directory)
    if as_json:
        click.echo(report.model_dump_json(indent=2))
    else:
        Console().print(report.table())
    sys.exit(1 if report.violations else 0)


def _parts(twin: str | None) -> Parts:
    if twin is None:
        return Parts()
    for name, condition in TWINS[twin].conditions.items():
        setattr(slots, name, condition)
    return TWINS[twin].parts


if __name__ == "__main__":
    main()
