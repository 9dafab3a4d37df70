"""What a torture of launches found."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from dagster import DagsterEventType, DagsterRun, DagsterRunStatus
from pydantic import BaseModel
from rich.console import Group
from rich.table import Table

from run_isolation.dagster import run_record
from run_isolation.dagster.worker import Exit
from run_isolation.tasks import CONTAINER
from tests.torture.launches import bodies
from tests.torture.launches.conductor import FINISHED, Conductor
from tests.torture.launches.ledger import Executions
from tests.torture.launches.troubles import FATAL, Launch

DELETED: Final = "deleted"
GHOST_SECONDS: Final = 3.0
"""How long after its run's end was seen its code may begin: the worker looks, imports, begins."""
_OUTSIDE: Final = "This run has been marked as failed from outside the execution context."
"""Dagster's words where it was given none."""

TIMED_OUT: Final = "Run timed out"
"""Dagster's words after the start timeout, by which a run may fail whose launch met too much."""

VIOLATIONS: Final = {
    "executed_twice": "runs executed twice",
    "never_over": "runs that are neither finished nor failed nor canceled",
    "untrue_success": "successes whose code did not come to its end",
    "needless_failure": "failures by a trouble that must not be fatal",
    "untold_failure": "failures without a reason in the run's log",
    "untrue_failure": "canceled runs that are called failed, since nobody had asked for their end",
    "untrue_cancel": "runs that are called canceled, and nobody had asked for it",
    "ghosts": "executions begun after their run was over",
    "tasks_left": "tasks left",
    "slots_leaked": "slots leaked",
    "crashes": "daemons that crashed by themselves",
}


class Report(BaseModel):
    """Numbers, and violations: all of these must be empty."""

    seed: int
    seconds: float
    launches: int
    real: int
    by_trouble: dict[str, dict[str, int]]
    """How the launches that met it ended."""
    violence: dict[str, int]
    tasks: int
    relaunches: int
    """Runs of a later attempt than the first."""
    stopped_at_the_claim: int
    orphans_stopped: int
    orphans_adopted: int
    finished_and_failed: int
    """Runs whose code came to its end, and that failed for a reason in their log."""
    settled_seconds: float
    violations: dict[str, list[str]]
    """Of each kind, the runs or tasks."""

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
        troubles = Table("met", "launches", *_ENDS, title=f"Torture of launches, seed {self.seed}")
        for name, ends in self.by_trouble.items():
            counts = [str(ends.get(end, "")) for end in _ENDS]
            troubles.add_row(name, str(sum(ends.values())), *counts)
        table = Table("", "", show_header=False)
        for field, text in _LINES.items():
            table.add_row(text, f"{getattr(self, field):,}")
        table.add_row("violence", ", ".join(f"{n} x {what}" for what, n in self.violence.items()))
        table.add_section()
        for kind, text in VIOLATIONS.items():
            found = self.violations[kind]
            shown = " ".join([str(len(found)), *found[:5]])
            table.add_row(text, f"[{'red' if found else 'green'}]{shown}")
        return Group(troubles, table)


_ENDS: Final = ["SUCCESS", "FAILURE", "CANCELED", DELETED]
_LINES: Final = {
    "seconds": "seconds",
    "launches": "launches",
    "real": "of these with real workers",
    "tasks": "tasks started",
    "relaunches": "runs of a later attempt than the first",
    "stopped_at_the_claim": "duplicates stopped at the claim",
    "orphans_stopped": "orphans stopped",
    "orphans_adopted": "orphans adopted",
    "finished_and_failed": "runs that failed after their code had come to its end",
    "settled_seconds": "seconds from the last launch until all was settled",
}


@dataclass(frozen=True)
class _Fate:
    """What became of one launch."""

    launch: Launch
    run: DagsterRun | None
    executions: Executions
    over_at: float | None
    said: list[Any]
    """The run's events."""

    @property
    def end(self) -> str:
        return self.run.status.value if self.run else DELETED

    def violations(self) -> Iterator[str]:
        """Which it is one of."""
        if len(self.executions.began) > 1:
            yield "executed_twice"
        if self.over_at and any(at > self.over_at + GHOST_SECONDS for at in self.executions.began):
            yield "ghosts"
        if self.run is None:
            return
        status = self.run.status
        if status not in FINISHED:
            yield "never_over"
        if status is DagsterRunStatus.SUCCESS and not self.executions.ended:
            yield "untrue_success"
        if status is DagsterRunStatus.CANCELED and "canceled" not in self.launch.troubles:
            yield "untrue_cancel"
        if status is DagsterRunStatus.FAILURE:
            if not self._told():
                yield "untold_failure"
            if FATAL.isdisjoint(self.launch.troubles) and not self._says(TIMED_OUT):
                yield "needless_failure"
            if self._asked_for() and self._says(bodies.NOBODY_ASKED):
                yield "untrue_failure"

    def _told(self) -> bool:
        """Whether the run's log has a reason: words of its end, or an error before it."""
        for record in self.said:
            event = record.dagster_event
            if event.event_type is DagsterEventType.RUN_FAILURE:
                if event.message and _OUTSIDE not in event.message:
                    return True
            elif getattr(event.event_specific_data, "error", None):
                return True
        return False

    def _asked_for(self) -> bool:
        kinds = {record.dagster_event.event_type for record in self.said}
        return DagsterEventType.RUN_CANCELING in kinds

    def _says(self, words: str) -> bool:
        events = [record.dagster_event for record in self.said]
        return any(words in f"{one.message} {one.event_specific_data}" for one in events)


def read(conductor: Conductor, seconds: float) -> Report:
    """What is to be seen after a torture."""
    world = conductor.world
    fates = list(_fates(conductor))
    tasks = world.tasks()
    violations: dict[str, list[str]] = {kind: [] for kind in VIOLATIONS}
    by_trouble: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for fate in fates:
        for kind in fate.violations():
            violations[kind].append(fate.launch.run_id)
        for trouble in fate.launch.troubles or ["nothing"]:
            by_trouble[trouble][fate.end] += 1
    violations["tasks_left"] = [t["taskArn"] for t in tasks if t["lastStatus"] != "STOPPED"]
    violations["slots_leaked"] = [holder.run_id for holder in world.stack.slots.holders()]
    violations["crashes"] = ["daemon"] * conductor.daemon_crashes
    log = (world.directory / "daemon.log").read_text(errors="replace")
    return Report(
        seed=conductor.plan.seed,
        seconds=round(seconds, 1),
        launches=len(fates),
        real=sum(fate.launch.place != "stub" for fate in fates),
        by_trouble={name: dict(ends) for name, ends in sorted(by_trouble.items())},
        violence=dict(conductor.violence),
        tasks=len(tasks),
        relaunches=sum(fate.run is not None and _attempt(fate.run) > 1 for fate in fates),
        stopped_at_the_claim=sum(_exit_code(task) == Exit.NOT_MINE for task in tasks),
        orphans_stopped=log.count(" is stopped: "),
        orphans_adopted=log.count(" is adopted by run "),
        finished_and_failed=sum(
            fate.executions.ended > 0 and fate.end == "FAILURE" for fate in fates
        ),
        settled_seconds=round(conductor.settled_seconds, 1),
        violations=violations,
    )


def _fates(conductor: Conductor) -> Iterator[_Fate]:
    executions = conductor.world.ledger.read()
    instance = conductor.world.instance
    kinds = {
        DagsterEventType.ENGINE_EVENT,
        DagsterEventType.RUN_FAILURE,
        DagsterEventType.RUN_CANCELING,
        DagsterEventType.STEP_FAILURE,
    }
    for run_id, launch in conductor.launches.items():
        run = instance.get_run_by_id(run_id)
        said = list(instance.all_logs(run_id, of_type=kinds)) if run else []
        yield _Fate(launch, run, executions[run_id], conductor.over_at.get(run_id), said)


def _attempt(run: DagsterRun) -> int:
    return run_record.read(run).attempt


def _exit_code(task: dict[str, Any]) -> int | None:
    codes = {one["name"]: one.get("exitCode") for one in task["containers"]}
    return codes.get(CONTAINER)
