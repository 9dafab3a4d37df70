"""What the deployment's roles asked for in a run of these tests.

At its end each deployment must have been denied nothing. With `RIGHTS_REPORT=<directory>` in the
environment it also writes there what it was allowed; `make rights` makes a record of all of them.
"""

from __future__ import annotations

import os
import uuid
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from localaws.account import LocalAccount
from localaws.iam.decisions import Ruling
from tests.rights import record
from tests.rights.reasons import DENIED


def denied(account: LocalAccount, stack: str) -> list[str]:
    """What the stack's roles asked for and must not have, but for what has its reason."""
    found = Counter(
        f"{one.role}: {one.action} on {one.resource}, for {one.call}"
        for one in account.decisions.all(allowed=False)
        if (asked := record.decision(one, stack)) and (asked.actor, asked.action) not in DENIED
    )
    return [f"{what} ({count} times)" for what, count in sorted(found.items())]


def write_report(account: LocalAccount, stack: str) -> None:
    """Write what was decided about the stack's roles, where somebody wants to know."""
    report(account.decisions.all(), stack)


def report(rulings: Iterable[Ruling], stack: str) -> None:
    """Write what was decided about a stack's roles, where somebody wants to know.

    Each process of pytest has deployments of its own, which may have the same names.
    """
    directory = os.environ.get("RIGHTS_REPORT")
    if directory is None:
        return
    Path(directory).mkdir(parents=True, exist_ok=True)
    decisions = (record.decision(one, stack) for one in rulings)
    path = Path(directory) / f"{stack}-{uuid.uuid4().hex}.json"
    record.write((one for one in decisions if one), path)
