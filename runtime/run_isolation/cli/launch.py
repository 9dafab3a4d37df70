"""``run-isolation launch``: ``dagster job launch``, known to be a person's."""

from __future__ import annotations

import click


@click.command(
    # Every option is Dagster's, and so is --help.
    add_help_option=False,
    context_settings={"ignore_unknown_options": True},
)
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def command(options: tuple[str, ...]) -> None:
    """Launch a job by hand.

    Takes every option of `dagster job launch`. Only runs launched by hand may go without their own
    task: ask for it by --tags '{"dagster/isolation": "disabled"}'.
    """
    from run_isolation.dagster.home import environment

    environment.take_on()
    from dagster._cli.job import job_launch_command

    from run_isolation.dagster.launched_by import by_hand

    with by_hand():
        job_launch_command.main(list(options), prog_name="run-isolation launch")
