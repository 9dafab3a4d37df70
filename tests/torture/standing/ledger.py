"""What really happened to runs: their code itself writes it down."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

BEGAN: Final = "began"
BOMB: Final = "bomb"
CALM: Final = "calm"


@dataclass(frozen=True)
class Entry:
    """One line."""

    what: str
    """One of the above."""
    run_id: str
    pid: int
    keeper: int
    """The session that the process is in, which the run's keeper leads."""
    at: float
    """Seconds since 1970."""


@dataclass
class Ledger:
    """Reads what is new in the file, again and again."""

    path: Path
    _read: int = 0

    def new(self) -> list[Entry]:
        """Entries that were not read before."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            file.seek(self._read)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        return [_entry(line) for line in whole.decode().splitlines()]


def _entry(line: str) -> Entry:
    what, run_id, pid, keeper, at = line.split()
    return Entry(what, run_id, int(pid), int(keeper), float(at))
