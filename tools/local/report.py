"""What `make up` ends with: what exists and where."""

from __future__ import annotations

import shlex
from pathlib import Path

from pydantic import BaseModel
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tools.local.engine import STACK
from tools.local.results import Placed
from tools.local.standing import Standing

PREFIX = f"run-isolation-{STACK}-"
"""What all names of the deployment start with."""


class Report(BaseModel):
    """A running local deployment. `make up` prints it as tables, `up --json` as JSON."""

    cluster: str
    table: str
    manifest: str
    """Name of the SSM parameter."""
    endpoint: str
    """URL of the local account's AWS APIs."""
    environment: Path
    """File to source before typing `pulumi` or AWS commands."""
    resources: dict[str, int]
    """How many resources `pulumi up` created, updated, left unchanged."""
    locations: list[Standing]
    page: str
    """Address of Dagster's page."""
    runs: list[Placed]

    @property
    def good(self) -> bool:
        """Whether every run ended where and how it should."""
        return not any(placed.faults for placed in self.runs)


def print_report(report: Report, console: Console) -> None:
    """Print the tables and the line that makes commands typed by hand work."""
    console.print()
    console.print(_standing_containers(report.locations))
    for standing in report.locations:
        _print_details(
            console,
            standing.location,
            {
                "name": f"{standing.host} (private DNS)",
                "task": standing.task,
                "task definition": standing.task_definition,
                "log group": standing.log_group,
            },
        )
    _print_details(
        console,
        "deployment",
        {
            "cluster": report.cluster,
            "slot table": report.table,
            "manifest": f"{report.manifest} (SSM parameter)",
            "AWS APIs": report.endpoint,
        },
    )
    if report.runs:
        console.print(_runs(report.runs))
    for placed in report.runs:
        run = placed.run
        _print_details(
            console,
            f"{run.location}: {run.job}",
            {"run": run.run_id, "task": run.task}
            | {f"fault {number}": fault for number, fault in enumerate(placed.faults, 1)},
        )
    console.print(f"Dagster's page: [bold]{report.page}[/]", highlight=False)
    console.print("To run pulumi or aws commands yourself:", style="bold")
    line = f"  source {shlex.quote(str(report.environment))}"
    console.print(line, soft_wrap=True, highlight=False, markup=False)


def _standing_containers(locations: list[Standing]) -> Table:
    table = Table(title="Standing containers", title_justify="left", title_style="bold")
    table.add_column("code location", overflow="fold")
    table.add_column("answers at", no_wrap=True)
    table.add_column("serves", overflow="fold")
    for standing in locations:
        serves = standing.serves
        table.add_row(
            standing.location,
            f"{standing.address}\n{standing.cpu} CPU units\n{standing.memory} MiB",
            "\n".join(
                f"{kind}: {', '.join(names) or 'none'}"
                for kind, names in (
                    ("assets", serves.assets),
                    ("jobs", serves.jobs),
                    ("sensors", serves.sensors),
                    ("schedules", serves.schedules),
                )
            ),
            end_section=True,
        )
    return table


def _runs(runs: list[Placed]) -> Table:
    table = Table(title="Runs", title_justify="left", title_style="bold")
    for column in ("asked", "became, and why", "where"):
        table.add_column(column, overflow="fold", ratio=1)
    table.add_column("starts in", justify="right")
    table.add_column("status")
    for placed in runs:
        run = placed.run
        start = run.seconds_to_start
        table.add_row(
            f"[bold]{run.location}: {run.job}[/]\n{escape(run.why)}",
            f"[bold]{run.kind}[/]\n{escape(run.reason)}",
            f"{placed.task_definition.removeprefix(PREFIX)}\n"
            f"{placed.cpu} CPU units\n{placed.memory} MiB",
            "-" if start is None else f"{start:.1f} s",
            f"[red]{run.status}[/]" if placed.faults else f"[green]{run.status}[/]",
            end_section=True,
        )
    return table


def _print_details(console: Console, title: str, details: dict[str, str]) -> None:
    """Print lines that are never broken, so that an ARN can be copied."""
    console.print(title, style="bold")
    for key, value in details.items():
        console.print(f"  {key:<17}{value}", soft_wrap=True, highlight=False, markup=False)
