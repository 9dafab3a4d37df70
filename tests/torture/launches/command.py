"""`python -m tests.torture launches`."""

from __future__ import annotations

import click

from tests.torture.launches.plan import Plan
from tests.torture.launches.run import torture
from tests.torture.launches.troubles import TROUBLES
from tests.torture.record import Asked
from tests.torture.surroundings import directory, now_and_then


@click.command()
@click.option("--launches", default=500, show_default=True, help="How many runs are launched.")
@click.option("--real", default=30, show_default=True, help="Of these with real workers.")
@click.option("--at-once", default=10, show_default=True, help="Most runs that are unfinished.")
@click.option("--pause", default=6.0, show_default=True, help="Mean seconds between violence.")
@click.option("--most-seconds", default=2400.0, show_default=True, help="Launches no more then.")
@click.option("--only", type=click.Choice(list(TROUBLES)), multiple=True, help="Such troubles.")
@click.option(
    "--twin", type=click.Choice(["no claim"]), help="Remove one guard: it ends when it fails."
)
@click.option("--keep", is_flag=True, help="Keep the logs.")
@click.pass_obj
def launches(
    asked: Asked,
    launches: int,
    real: int,
    at_once: int,
    pause: float,
    most_seconds: float,
    only: tuple[str, ...],
    twin: str | None,
    keep: bool,
) -> bool:
    """Torment launches: AWS that fails, launchers, daemons and tasks that die, people who cancel.

    Fails if a run was executed twice, did not end, or ended otherwise than its log and its code
    say, or if a task or a slot was left.
    """
    among = only or tuple(TROUBLES)
    plan = Plan(
        asked.seed, launches, real, at_once, pause, most_seconds, among, claims=twin is None
    )
    with directory(keep=keep) as place:
        report = torture(plan, place, now_and_then("launches"))
    return asked.held("launches", report)
