"""The three ways in which a run is executed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Final

from run_isolation import tag_names
from tests.e2e.dagster_deployment import OTHER, PROBE, DagsterDeployment
from tests.e2e.runs import NON_ISOLATED, Run


@dataclass(frozen=True)
class Kind:
    """One of them.

    Attributes:
        location: A code location whose runs are executed so, if they ask for it.
        asked: Whether they ask not to be isolated.
    """

    location: str
    asked: bool

    @property
    def tags(self) -> Mapping[str, str]:
        """How a run asks for it; a retry has its parent's tags else."""
        return NON_ISOLATED if self.asked else {tag_names.ISOLATION: "enabled"}

    def check(self, run: Run) -> None:
        """Insist that a run was executed so."""
        assert run.kind == ("non-isolated" if self.asked else "isolated"), run.reason


KINDS: Final[Mapping[str, Kind]] = {
    "warm": Kind(PROBE, asked=True),
    "spawned": Kind(OTHER, asked=True),
    "isolated": Kind(PROBE, asked=False),
}


@dataclass(frozen=True)
class Pooled:
    """Runs in one pool of Dagster's, all launched at once.

    Attributes:
        runs: With the kind that each asks for: one after the other of KINDS.
    """

    deployment: DagsterDeployment
    runs: list[tuple[Run, Kind]]

    @classmethod
    def launch(cls, deployment: DagsterDeployment, count: int) -> Pooled:
        """Launch so many."""
        pooled = cls(deployment, [])
        pooled._ledger.unlink(missing_ok=True)
        pooled._ledger.touch()
        pooled._ledger.chmod(0o666)
        told: dict[str, Any] = {"op": "pooled", "held": False, "append_to": str(pooled._ledger)}
        for kind in islice(cycle(KINDS.values()), count):
            run = deployment.launch("pooled_job", location=kind.location, asked=kind.asked, **told)
            pooled.runs.append((run, kind))
        return pooled

    @property
    def _ledger(self) -> Path:
        return self.deployment.work_directory / "pool.ledger"

    def check_one_at_once(self) -> None:
        """Insist that each had the pool for itself. They have ended."""
        lines = [line.split() for line in self._ledger.read_text().splitlines()]
        assert [what for what, _, _ in lines] == ["began", "ended"] * len(self.runs)
        assert [run for _, run, _ in lines[::2]] == [run for _, run, _ in lines[1::2]]
