"""`python -m tests.torture standing`."""

from __future__ import annotations

import click

from tests.code_server.container import SMALL
from tests.torture.record import Asked
from tests.torture.standing.plan import Plan
from tests.torture.standing.run import torture
from tests.torture.standing.troubles import TROUBLES
from tests.torture.surroundings import directory, now_and_then
from tools.dynamodb_local import UnavailableError


@click.command()
@click.option("--runs", default=600, show_default=True, help="Ends when so many were let in.")
@click.option("--clients", default=16, show_default=True, help="Which launch at once.")
@click.option("--slots", default=10, show_default=True, help="Runs that there may be at once.")
@click.option("--run-seconds", default=1.5, show_default=True, help="Mean duration of a run.")
@click.option("--cpu", default=SMALL.cpu, show_default=True, help="CPU units of the container.")
@click.option("--pause", default=5.0, show_default=True, help="Mean seconds between troubles.")
@click.option("--longest-cut", default=90.0, show_default=True, help="In seconds.")
@click.option("--most-seconds", default=1200.0, show_default=True, help="Launches no more then.")
@click.option("--only", type=click.Choice(list(TROUBLES)), multiple=True, help="Such troubles.")
@click.option("--warm-start/--no-warm-start", default=True, help="Whether runs are forked.")
@click.option("--twin", is_flag=True, help="Remove a guard of the server: it must be seen.")
@click.option("--keep", is_flag=True, help="Keep the logs.")
@click.pass_obj
def standing(
    asked: Asked,
    runs: int,
    clients: int,
    slots: int,
    run_seconds: float,
    cpu: int,
    pause: float,
    longest_cut: float,
    most_seconds: float,
    only: tuple[str, ...],
    warm_start: bool,
    twin: bool,
    keep: bool,
) -> bool:
    """Torment the standing container: what stands still, is full, cut off, ended or replaced.

    Fails if a run was executed twice, a process lived without its slot or a slot without its
    process, a run was not over in time, the server was deaf, or anything was left.
    """
    plan = Plan(
        asked.seed,
        runs,
        clients,
        slots,
        run_seconds,
        cpu,
        pause,
        longest_cut,
        most_seconds,
        among=only or tuple(TROUBLES),
        warm_start=warm_start,
        twin=twin,
    )
    try:
        with directory(keep=keep) as place:
            report = torture(plan, place, now_and_then("runs"))
    except UnavailableError as error:
        raise click.ClickException(str(error)) from error
    return asked.held("standing" if warm_start else "standing-spawned", report)
