"""``run-isolation daemon``: Dagster's daemon, with the reconciler of the slots."""

from __future__ import annotations

import click


@click.command(
    # Every option is Dagster's, and so is --help.
    add_help_option=False,
    context_settings={"ignore_unknown_options": True},
)
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def command(options: tuple[str, ...]) -> None:
    """Run Dagster's daemon and the slots' reconciler.

    Takes every option of `dagster-daemon run`. Needs DAGSTER_HOME and RUN_ISOLATION_MANIFEST.
    """
    from run_isolation.dagster.home import environment

    environment.take_on()
    from run_isolation.dagster.daemon import run

    run(options)
