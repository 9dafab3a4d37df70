"""What `make up` ends with: what exists and where."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

from tools.local.standing import Standing


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
    console.print("To type pulumi or aws commands yourself:", style="bold")
    console.print(f"  source {report.environment}", soft_wrap=True, highlight=False)


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


def _print_details(console: Console, title: str, details: dict[str, str]) -> None:
    """Print lines that are never broken, so that an ARN can be copied."""
    console.print(title, style="bold")
    for key, value in details.items():
        console.print(f"  {key:<17}{value}", soft_wrap=True, highlight=False, markup=False)
