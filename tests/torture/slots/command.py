"""`python -m tests.torture slots`."""

from __future__ import annotations

import click

from run_isolation.slots import conditions
from tests.slots.parts import Parts
from tests.slots.twins import TWINS
from tests.torture.record import Asked
from tests.torture.slots.run import torture
from tests.torture.slots.supervisor import Plan
from tests.torture.surroundings import directory, now_and_then
from tools.dynamodb_local import UnavailableError


@click.command()
@click.option("--acquires", default=20_000, show_default=True, help="Ends when so many got a slot.")
@click.option("--launchers", default=64, show_default=True, help="Launcher processes.")
@click.option("--servers", default=4, show_default=True, help="Standing servers.")
@click.option("--limit", default=16, show_default=True, help="Slots.")
@click.option("--run-seconds", default=0.15, show_default=True, help="Mean duration of a run.")
@click.option("--pause", default=1.0, show_default=True, help="Mean seconds between violence.")
@click.option("--most-seconds", default=3600.0, show_default=True, help="Ends then at the latest.")
@click.option(
    "--twin", type=click.Choice(list(TWINS)), help="Remove one guard: it ends when it fails."
)
@click.option("--keep", is_flag=True, help="Keep the logs.")
@click.pass_obj
def slots(
    asked: Asked,
    acquires: int,
    launchers: int,
    servers: int,
    limit: int,
    run_seconds: float,
    pause: float,
    most_seconds: float,
    twin: str | None,
    keep: bool,
) -> bool:
    """Torment slots: real processes, random SIGKILL and SIGSTOP, a network that loses and repeats.

    Fails if more runs were ever alive than the limit allows, a run was executed twice, or a slot
    stayed leaked.
    """
    plan = Plan(
        asked.seed,
        acquires,
        launchers,
        servers,
        limit,
        run_seconds,
        pause,
        most_seconds,
        ends_with_failure=twin is not None,
    )
    try:
        with directory(keep=keep) as place:
            report = torture(plan, _parts(twin), place, now_and_then("acquires"))
    except UnavailableError as error:
        raise click.ClickException(str(error)) from error
    return asked.held("slots", report)


def _parts(twin: str | None) -> Parts:
    if twin is None:
        return Parts()
    for name, condition in TWINS[twin].conditions.items():
        setattr(conditions, name, condition)
    return TWINS[twin].parts
