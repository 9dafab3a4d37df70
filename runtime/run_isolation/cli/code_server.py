"""``run-isolation code-server``: what the standing container of a code location runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import click

from run_isolation import task_metadata
from run_isolation.quick_imports import quick_imports

WORKING_DIRECTORY: Final = "RUN_ISOLATION_WORKING_DIRECTORY"
"""Environment variable with the location's ``workingDirectory``, where its config has one."""


@click.command(
    # Every option but two is Dagster's, and so is --help.
    add_help_option=False,
    context_settings={"ignore_unknown_options": True},
)
@click.option("--control-port", type=click.IntRange(1, 65535))
@click.option("--warm-start/--no-warm-start", default=True)
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def command(control_port: int | None, warm_start: bool, options: tuple[str, ...]) -> None:
    """Serve a code location: `dagster api grpc` at the task's own address.

    Takes every option of `dagster api grpc`, also as the variables that stand for them there
    (DAGSTER_CLI_API_GRPC_LOG_LEVEL); --host defaults to the address of this ECS task, and to
    0.0.0.0 outside of one. User code that can't be imported ends the server, as it does there;
    --lazy-load-user-code serves the error instead.

    In a task the same is served at --control-port, by default the port after --port. It stays open
    until the server ends; --port is closed when a redeploy has put another task in its place.

    Runs are forked from a process that has imported everything, unless --no-warm-start says
    otherwise or user code does at import what a fork does not survive; the log says so then.
    """
    _check_working_directory()
    with quick_imports():
        from run_isolation.dagster.standing.code_server import serve

    serve(options, task_metadata.read(), control_port, warm_start=warm_start)


def _check_working_directory() -> None:
    """Refuses one that is not in the image.

    The container runtime makes a directory that is missing
    (https://github.com/opencontainers/runc/blob/main/libcontainer/rootfs_linux.go), so that a run
    would look in vain for its files.
    """
    given = os.environ.get(WORKING_DIRECTORY)
    if given is None:
        return
    try:
        empty = not any(Path.cwd().iterdir())
    except PermissionError:
        # Whoever may not list a directory may still open files in it.
        return
    if empty:
        raise click.ClickException(
            f"workingDirectory is {given}, and the image has no such directory, or nothing in it. "
            "Name a directory of the image that has files, or leave the key out: then it is the "
            "image's WORKDIR."
        )
