"""`python -m tools.local up | down | env`, behind the Makefile's targets of these names."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click
from filelock import FileLock, Timeout
from rich.console import Console

from tools.local.account import running_account
from tools.local.errors import ExitCode
from tools.local.files import LocalFiles
from tools.local.processes import Processes
from tools.local.report import print_report
from tools.local.up import bring_up, stop_all

FILES = LocalFiles()


@contextmanager
def _alone() -> Iterator[None]:
    """Only one `make up` or `make down` at a time."""
    FILES.directory.mkdir(exist_ok=True)
    try:
        with FileLock(FILES.lock, timeout=0):
            yield
    except Timeout:
        click.echo(
            f"Another `make up` or `make down` runs in this checkout (it holds {FILES.lock}). "
            "Wait for it or end it.",
            err=True,
        )
        sys.exit(ExitCode.BUSY)


@click.group()
def main() -> None:
    """The local deployment: Pulumi's engine against an AWS account on this machine."""


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def up(as_json: bool) -> None:
    """Provision the stack `local`, start Dagster, and launch runs of both kinds."""
    with _alone():
        report = bring_up(FILES, Console(stderr=True))
    if as_json:
        click.echo(report.model_dump_json(indent=2))
    else:
        print_report(report, Console())
    if not report.good:
        sys.exit(ExitCode.RUN_IN_THE_WRONG)


@main.command()
def down() -> None:
    """Stop what `up` started, and only that."""
    with _alone():
        stopped = stop_all(FILES)
    for name, pid in stopped.items():
        click.echo(f"Stopped {name} (process {pid}).")
    if not stopped:
        click.echo("Nothing to stop: the local deployment does not run.")


@main.command()
def env() -> None:
    """Print the line that makes pulumi commands typed by hand work in this checkout."""
    if running_account(FILES, Processes(FILES.processes)) is None or not FILES.environment.exists():
        click.echo("The local deployment is not up. Start it: make up", err=True)
        sys.exit(ExitCode.NOT_RUNNING)
    click.echo(f"source {FILES.environment}")


if __name__ == "__main__":
    main(prog_name="python -m tools.local")
