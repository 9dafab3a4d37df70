"""What really happened to runs: their code itself writes it down.

Standard library only: the worker's processes use it before they import anything else.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

BEGAN: Final = "began"
ENDED: Final = "ended"


@dataclass
class Executions:
    """The executions of one run's code."""

    began: list[float] = field(default_factory=list)
    """When, in seconds since 1970."""
    ended: int = 0
    """How many of them came to their end."""


@dataclass(frozen=True)
class Ledger:
    """A file to which many processes add lines."""

    path: Path

    def note(self, what: str, run_id: str) -> None:
        """Adds a line. Lines of several processes do not mix, and none is lost with its process."""
        log = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(log, f"{what} {run_id} {time.time()}\n".encode())
        os.close(log)

    def read(self) -> defaultdict[str, Executions]:
        """All executions, by run."""
        found: defaultdict[str, Executions] = defaultdict(Executions)
        if not self.path.exists():
            return found
        for line in self.path.read_text().splitlines():
            what, run_id, at = line.split()
            if what == BEGAN:
                found[run_id].began.append(float(at))
            else:
                found[run_id].ended += 1
        return found
