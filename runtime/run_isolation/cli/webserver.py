"""``run-isolation webserver``: Dagster's webserver."""

from __future__ import annotations

import click


@click.command(
    # Every option is Dagster's, and so is --help.
    add_help_option=False,
    context_settings={"ignore_unknown_options": True},
)
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def command(options: tuple[str, ...]) -> None:
    """Run Dagster's webserver.

    Takes every option of `dagster-webserver`. Needs DAGSTER_HOME and RUN_ISOLATION_MANIFEST.
    """
    from run_isolation.dagster.home import environment

    environment.take_on()
    from run_isolation.dagster.web.webserver import run

    run(options)
