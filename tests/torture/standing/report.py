"""What a torture of the standing container found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Final

from pydantic import BaseModel
from rich.console import Group
from rich.markup import escape
from rich.table import Table

from tests.torture.standing.board import ISOLATED, Board
from tests.torture.standing.conditions import TEMPLATE
from tests.torture.standing.judge import HEALTH_SECONDS, Evidence
from tests.torture.standing.plan import Plan

VIOLATIONS: Final = {
    "executed_twice": "runs executed twice",
    "without_slot": "processes of runs alive without a slot",
    "empty_slots": "slots without a process for over 30 s",
    "lingering": "processes that lived on after somebody had ended their runs",
    "never_over": "runs that were not over within their bound",
    "late_health": "health answers that were late or bad",
    "left": "reservations, threads, descriptors, processes or slots left at the end",
    "crashes": "what clients or the daemon met and should not",
}


class Report(BaseModel):
    """Numbers, and violations: all of these must be empty."""

    seed: int
    seconds: float
    runs: int
    """That got a slot."""
    executed: int
    ends: dict[str, int]
    isolated_after_all: dict[str, int]
    """By the first words of the reason."""
    troubles: dict[str, int]
    counts: dict[str, int]
    """What clients and the daemon met and may meet."""
    refused_median_seconds: float
    """From slot to isolation, without the time of cuts and of a template that stands still."""
    refused_worst_seconds: float
    health_answers: int
    health_worst_seconds: float
    health_over_a_second: int
    """Under a bomb, or on a busy machine."""
    samples: int
    most_alive: int
    left: list[str]
    violations: dict[str, list[str]]

    @property
    def violated(self) -> int:
        """How many violations there are."""
        return sum(map(len, self.violations.values()))

    def figures(self) -> dict[str, float]:
        """Those, and of each kind of violation how many there are."""
        told = {text: getattr(self, name) for name, text in _LINES.items()}
        return told | {text: len(self.violations[kind]) for kind, text in VIOLATIONS.items()}

    def table(self) -> Group:
        """For people."""
        table = Table(
            "", "", title=f"Torture of the standing container, seed {self.seed}", show_header=False
        )
        for name, text in _LINES.items():
            table.add_row(text, f"{getattr(self, name):,}")
        for name in ("ends", "troubles", "isolated_after_all", "counts"):
            among = getattr(self, name)
            table.add_row(
                name.replace("_", " "),
                escape("\n".join(f"{n} x {what}" for what, n in among.items())),
            )
        table.add_section()
        for kind, text in VIOLATIONS.items():
            found = self.violations[kind]
            shown = escape("\n".join([str(len(found)), *(one[-_SHOWN:] for one in found[:5])]))
            table.add_row(text, f"[{'red' if found else 'green'}]{shown}")
        return Group(table)


_LINES: Final = {
    "seconds": "seconds",
    "runs": "runs that got a slot",
    "executed": "of these executed in the container",
    "refused_median_seconds": "seconds until a refused one was isolated, median",
    "refused_worst_seconds": "seconds until a refused one was isolated, worst",
    "health_answers": "health answers",
    "health_worst_seconds": "seconds of the slowest",
    "health_over_a_second": "answers after more than a second, excused or not",
    "samples": "samples",
    "most_alive": "most runs alive at once",
}
_WORDS: Final = 150
_SHOWN: Final = 300
"""The end of a traceback."""


def report(
    plan: Plan,
    evidence: Evidence,
    board: Board,
    troubles: Mapping[str, int],
    left: Sequence[str],
    seconds: float,
) -> Report:
    """What is to be seen after a torture."""
    launched = board.launched.values()
    isolated = [one for one in launched if one.end == ISOLATED]
    refusals = sorted(
        evidence.uncut(one.acquired_at, one.answered_at, TEMPLATE)
        for one in isolated
        if one.answered_at is not None
    )
    violations = {
        "executed_twice": list(evidence.executed_twice()),
        "without_slot": list(evidence.without_slot()),
        "empty_slots": list(evidence.empty_slots()),
        "lingering": list(evidence.lingering()),
        "never_over": list(evidence.never_over()),
        "late_health": list(evidence.late_health()),
        "left": list(left),
        "crashes": board.crashes,
    }
    return Report(
        seed=plan.seed,
        seconds=round(seconds, 1),
        runs=len(board.launched),
        executed=len({entry.run_id for entry in evidence.entries}),
        ends=dict(Counter(one.end or "none" for one in launched)),
        isolated_after_all=dict(Counter(one.why[:_WORDS] for one in isolated)),
        troubles=dict(troubles),
        counts=dict(board.counts),
        refused_median_seconds=round(median(refusals), 2) if refusals else 0.0,
        refused_worst_seconds=round(refusals[-1], 2) if refusals else 0.0,
        health_answers=len(evidence.answers),
        health_worst_seconds=round(max((one.seconds for one in evidence.answers), default=0), 2),
        health_over_a_second=sum(one.seconds > HEALTH_SECONDS for one in evidence.answers),
        samples=len(evidence.samples),
        most_alive=max((len(one.alive) for one in evidence.samples), default=0),
        left=list(left),
        violations=violations,
    )
