"""`python -m tests.rights <directory>`: makes the record of what e2e's deployments wrote there.

Writes `record.json` and the table in docs/operations.md. Ends with 1 where something was denied, or
is granted and not used, without a reason in `reasons.py`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tests.rights import record
from tests.rights.granted import granted
from tests.rights.page import PAGE, with_table
from tests.rights.reasons import DENIED, UNUSED


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, exists=True, file_okay=False))
def main(directory: Path) -> None:
    """Make the record of the reports in DIRECTORY."""
    reports = sorted(directory.glob("*.json"))
    if not reports:
        raise click.ClickException(f"{directory} has no report: run tests/e2e with RIGHTS_REPORT")
    decisions = {one for report in reports for one in record.read(report)}
    record.write(decisions)
    PAGE.write_text(with_table(PAGE.read_text(), decisions))
    click.echo(f"{len(decisions)} decisions of {len(reports)} deployments in {record.RECORD}")
    sys.exit(any([_without_reason(decisions), _asked_in_vain(decisions), _stale(decisions)]))


def _without_reason(decisions: set[record.Decision]) -> bool:
    used = {one.grant for one in decisions}
    idle = [one for one in granted().grants if one not in used]
    for grant in idle:
        click.echo(f"granted, not used: {grant}: {UNUSED.get(grant, 'NO REASON')}")
    return any(one not in UNUSED for one in idle)


def _asked_in_vain(decisions: set[record.Decision]) -> bool:
    denied = sorted(one for one in decisions if not one.by)
    for one in denied:
        why = DENIED.get((one.actor, one.action), "NO REASON")
        click.echo(f"denied: {one.actor}: {one.action} on {one.resource}: {why}")
    return any((one.actor, one.action) not in DENIED for one in denied)


def _stale(decisions: set[record.Decision]) -> bool:
    used = sorted({one.grant for one in decisions} & UNUSED.keys())
    for grant in used:
        click.echo(f"used, so it needs no reason in reasons.py: {grant}")
    return bool(used)


if __name__ == "__main__":
    main()
