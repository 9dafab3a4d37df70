"""What a torture found."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from statistics import median
from typing import Final

from pydantic import BaseModel
from rich.table import Table

from tests.torture.slots.place import Place


class Report(BaseModel):
    """Numbers, and violations: all of these must be zero."""

    seed: int
    limit: int
    seconds: float
    acquires: int
    denials: int
    no_answers: int
    """Acquires that the table did not answer in time: isolated."""
    refused_starts: int
    """Runs that had a slot and were not started: isolated."""
    most_alive: int
    most_holders: int
    violence: dict[str, int]
    leaks_freed: int
    leak_median_seconds: float
    leak_worst_seconds: float
    over_the_limit: int
    alive_without_slot: int
    executed_twice: int
    leaked_at_the_end: int
    crashes: int

    @property
    def violated(self) -> int:
        """Of any kind."""
        return sum(getattr(self, name) for name in VIOLATIONS)

    def figures(self) -> dict[str, float]:
        """Those, and of each kind of violation how many there are."""
        return {text: getattr(self, name) for name, text in (_LINES | VIOLATIONS).items()}

    def table(self) -> Table:
        """For people."""
        table = Table("", "", title=f"Torture of slots, seed {self.seed}", show_header=False)
        for name, text in _LINES.items():
            table.add_row(text, _shown(getattr(self, name)))
        table.add_row("violence", ", ".join(f"{n} x {what}" for what, n in self.violence.items()))
        table.add_section()
        for name, text in VIOLATIONS.items():
            count = getattr(self, name)
            table.add_row(text, f"[{'red' if count else 'green'}]{count}")
        return table


_LINES: Final = {
    "seconds": "seconds",
    "acquires": "acquires",
    "denials": "denials",
    "no_answers": "acquires that got no answer in time (isolated)",
    "refused_starts": "starts refused by the server (isolated)",
    "limit": "limit",
    "most_alive": "most run processes alive at once",
    "most_holders": "most holders in the table at once",
    "leaks_freed": "slots leaked for more than a second",
    "leak_median_seconds": "seconds until such a slot was free, median",
    "leak_worst_seconds": "seconds until such a slot was free, worst",
}
VIOLATIONS: Final = {
    "over_the_limit": "run processes started over the limit",
    "alive_without_slot": "run processes seen alive without a slot",
    "executed_twice": "runs executed twice",
    "leaked_at_the_end": "slots leaked at the end",
    "crashes": "launchers, servers or reconcilers that crashed by themselves",
}


def read(
    place: Place, seed: int, limit: int, seconds: float, violence: Mapping[str, int]
) -> Report:
    """What the logs of a torture say."""
    observed = json.loads((place.directory / "observed").read_text())
    launches = Counter(place.notes("launches"))
    alive = [int(line) for line in place.notes("alive")]
    executions = Counter(place.notes("executions"))
    leaks = observed["leaked_seconds"]
    return Report(
        seed=seed,
        limit=limit,
        seconds=round(seconds, 1),
        acquires=launches["acquired"],
        denials=launches["denied"],
        no_answers=launches["unknown"],
        refused_starts=launches["refused"],
        most_alive=max([*alive, observed["most_alive"]]),
        most_holders=observed["most_holders"],
        violence=dict(violence),
        leaks_freed=len(leaks),
        leak_median_seconds=round(median(leaks), 1) if leaks else 0,
        leak_worst_seconds=round(max(leaks), 1) if leaks else 0,
        over_the_limit=sum(count > limit for count in alive),
        alive_without_slot=len(observed["alive_without_slot"]),
        executed_twice=sum(count > 1 for count in executions.values()),
        leaked_at_the_end=len(observed["leaked"]),
        crashes=sum("Traceback" in line for line in place.notes("crashes")),
    )


def _shown(value: float) -> str:
    return f"{value:,}"
