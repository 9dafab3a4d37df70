"""`python -m tools.local up | down | env`, behind the Makefile's targets of these names."""

from __future__ import annotations

import os

PARENT = os.getppid()
"""Taken before all else: the imports below take half a second, in which `make` may be killed."""

# ruff: noqa: E402
import fcntl
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import click
from rich.console import Console

from tools.local.account import running_account
from tools.local.errors import ExitCode
from tools.local.files import LocalFiles
from tools.local.processes import Processes
from tools.local.report import print_report
from tools.local.sweeper import swept
from tools.local.up import bring_up, stop_all

FILES = LocalFiles()


@contextmanager
def _alone() -> Iterator[BinaryIO]:
    """Only one `make up` or `make down` at a time. Yields the locked file."""
    FILES.directory.mkdir(exist_ok=True)
    with FILES.lock.open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            click.echo(
                f"Another `make up` or `make down` is running in this checkout, or one was killed "
                f"and is still being cleaned up ({FILES.lock} is locked). Wait for it, or end it.",
                err=True,
            )
            sys.exit(ExitCode.BUSY)
        yield lock


@click.group()
def main() -> None:
    """The local deployment: Pulumi's engine against an AWS account on this machine."""


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def up(as_json: bool) -> None:
    """Provision the stack `local`, start Dagster, and launch runs of both kinds."""
    console = Console(stderr=True)

    def say(sentence: str) -> None:
        console.show_cursor(True)
        console.print(f"\n{sentence}", markup=False, highlight=False, soft_wrap=True)

    with _alone() as lock, swept(lock, say, PARENT):
        report = bring_up(FILES, console)
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
        click.echo("Nothing to stop: the local deployment is not running.")


@main.command()
def env() -> None:
    """Print the line that makes pulumi commands typed by hand work in this checkout."""
    if running_account(FILES, Processes(FILES.processes)) is None or not FILES.environment.exists():
        click.echo("The local deployment is not up. Start it with: make up", err=True)
        sys.exit(ExitCode.NOT_RUNNING)
    click.echo(f"source {shlex.quote(str(FILES.environment))}")


if __name__ == "__main__":
    main(prog_name="python -m tools.local")
