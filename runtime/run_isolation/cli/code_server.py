"""``run-isolation code-server``: what the standing container of a code location runs."""

from __future__ import annotations

import click

from run_isolation import task_metadata


@click.command(
    # Every option is Dagster's, and so is --help.
    add_help_option=False,
    context_settings={"ignore_unknown_options": True},
)
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def command(options: tuple[str, ...]) -> None:
    """Serve a code location: `dagster api grpc` at the task's own address.

    Takes every option of `dagster api grpc`; --host defaults to the address of this ECS task, and
    to 0.0.0.0 outside of one. User code that can't be imported ends the server, as it does there;
    --lazy-load-user-code serves the error instead.
    """
    from run_isolation.dagster.code_server import serve

    serve(options, task_metadata.read())
