"""What the worker of each run is to do: a file for each run, which its task finds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.torture.launches.ledger import Ledger

DIRECTORY: Final = "TORTURE_DIRECTORY"
"""Environment variable of stub workers."""
NO_CLAIM: Final = "TORTURE_NO_CLAIM"
"""Environment variable by which stub workers execute without a claim."""
NOBODY_ASKED: Final = "No user initiated termination request was found,"
"""Dagster's words about a run that was interrupted (dagster/_core/execution/api.py)."""


@dataclass(frozen=True)
class Body:
    """What a stub does."""

    import_seconds: float = 0.0
    """Before its last look at the run."""
    prepare_seconds: float = 0.0
    """Between that and the run's start."""
    seconds: float = 0.0
    """How long the run works."""
    end: str = "finish"
    """`finish`, `fail`, `kill`, `memory` or `exit 0`."""
    dies: str = ""
    """`before the claim`, `after the claim`, or not before its run has begun."""


def write(directory: Path, run_id: str, body: dict[str, Any]) -> None:
    """Says what the run's worker is to do."""
    (directory / "bodies" / run_id).write_text(json.dumps(body))


def read(directory: Path, run_id: str) -> Body:
    """What the run's worker is to do."""
    return Body(**json.loads((directory / "bodies" / run_id).read_text()))


def ledger(directory: Path) -> Ledger:
    """Where executions are written down."""
    return Ledger(directory / "ledger")
