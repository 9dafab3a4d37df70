"""What runs leave behind, forked and spawned: it ends soon after them, and the run says so."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from dagster import DagsterEventType, DagsterRun, DagsterRunStatus
from dagster._grpc.types import CancelExecutionRequest

from run_isolation.dagster.warm import spawner
from tests.code_server.runs import Runs, new_home, runs_of
from tests.code_server.servers import SPAWNING, WARM, serving
from tests.parity.conftest import PROBE
from tests.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

MOST_SECONDS: Final = 25.0
"""From a run's end to its slot: 5 for exit handlers, 5 for the event, 5 for programs deaf to
SIGTERM, and a busy machine. It was two minutes, or for ever."""
ALL_SECONDS: Final = 60.0
"""For all of them together."""
IN_PROCESS: Final[dict[str, Any]] = {"execution": {"config": {"in_process": {}}}}
ENDS: Final = {
    DagsterEventType.RUN_SUCCESS,
    DagsterEventType.RUN_FAILURE,
    DagsterEventType.RUN_CANCELED,
}


@dataclass(frozen=True)
class Case:
    """A run that leaves something behind.

    Attributes:
        leave: What its op leaves; see leave.py of the probe.
        named: What its event has to name; there is none where this is empty.
        work: More config of the op.
        job: Which job.
        config: More run config.
    """

    leave: list[str]
    named: tuple[str, ...] = ()
    work: dict[str, Any] = field(default_factory=dict)
    job: str = "work_job"
    config: dict[str, Any] = field(default_factory=dict)


CASES: Final = {
    "threads": Case(
        ["thread", "pool", "loop", "native"],
        ("threads", "'left-thread'", "'left-pool_0'", "'left-loop'", "'left-native'", "after 5 s"),
    ),
    "processes": Case(
        ["program", "deaf_program", "worker", "copy", "daemon"],
        ("processes", "`sleep 3600`", "`sh -c trap", "(a copy of the run's process by os.fork())"),
    ),
    "program": Case(["program"], ("process ", "`sleep 3600`", "It was stopped with its process.")),
    "exit handler": Case(["exit_handler"], ("in `left_handler` (", "leave.py, line ")),
    "deaf exit handler": Case(["deaf_exit_handler"]),
    "failed": Case(["thread", "copy"], ("thread 'left-thread'",), {"fail": True}),
    "canceled": Case(["thread"], ("thread 'left-thread'",), {"wait_for": "/never"}),
    "copies": Case(["copy_returns", "copy_raises", "flush"], job="steps_job", config=IN_PROCESS),
    "step": Case(
        ["thread", "worker", "program", "copy_returns"],
        ("Step work left", "'left-thread'", "after 5 s"),
        job="steps_job",
    ),
}
ONLY_FORKED: Final = {"program", "failed", "canceled"}
"""What makes no difference in a spawned run, of which each costs two CPU seconds."""
NAMES: Final = [
    pytest.param(name, marks=[pytest.mark.only_forked] if name in ONLY_FORKED else [])
    for name in CASES
]
STATUS: Final = {"failed": DagsterRunStatus.FAILURE, "canceled": DagsterRunStatus.CANCELED}


def _has_left(ledger: Path) -> bool:
    return ledger.exists() and "left " in ledger.read_text()


@dataclass(frozen=True)
class Ended:
    """A run, and how it ended."""

    run: DagsterRun
    runs: Runs
    seconds: float
    """From its end until the server had forgotten it."""
    ledgers: tuple[Path, Path]

    @property
    def status(self) -> DagsterRunStatus:
        return self.runs.read(self.run).status

    def said(self) -> list[str]:
        """The events on what it left."""
        entries = self.runs.instance.all_logs(
            self.run.run_id, of_type=DagsterEventType.ENGINE_EVENT
        )
        ours = ("running when it ended", "was over")

        return [e.message for e in entries if any(words in e.message for words in ours)]


@dataclass
class Outcome:
    """Of all cases in one server.

    Attributes:
        ended: By case.
        left: Processes that are still there.
    """

    ended: dict[str, Ended]
    left: list[str]


@contextmanager
def _served(kind: Any, place: Path) -> Iterator[Runs]:
    home = new_home(place / "home")
    (place / "tmp").mkdir()
    variables = {"DAGSTER_HOME": str(home), "TMPDIR": str(place / "tmp")}
    with (
        serving(
            kind, PROBE, ["-m", "probe.definitions"], place / "log", environment=variables
        ) as server,
        runs_of(server, home) as runs,
    ):
        yield runs


def _launch(runs: Runs, name: str, place: Path) -> tuple[DagsterRun, tuple[Path, Path]]:
    case = CASES[name]
    ledgers = (place / f"{name}-1", place / f"{name}-2")
    work = {"leave": case.leave, "append_to": str(ledgers[0]), **case.work}
    ops: dict[str, Any] = {"work": {"config": work}}
    if case.job == "steps_job":
        ops["more_work"] = {"config": {"append_to": str(ledgers[1])}}
    return runs.launch(case.job, {"ops": ops, **case.config}), ledgers


def _seconds(runs: Runs, run: DagsterRun, forgotten: float | None) -> float:
    """From the run's end until the server had forgotten it."""
    ends = runs.instance.all_logs(run.run_id, of_type=ENDS)
    return forgotten - ends[0].timestamp if ends and forgotten else math.inf


@pytest.fixture(scope="module", params=[WARM, SPAWNING], ids=lambda kind: kind.name)
def outcome(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Outcome]:
    """All cases at once: most of their time is waiting."""
    place = tmp_path_factory.mktemp("ends")
    with _served(request.param, place) as runs:
        before = {process.pid for process in runs.server.container.processes()}
        names = [name for name in CASES if request.param is WARM or name not in ONLY_FORKED]
        launched = {name: _launch(runs, name, place) for name in names}
        forgotten: dict[str, float] = {}
        canceled: list[str] = []

        def all_forgotten() -> bool:
            current = runs.current()
            for name, (run, ledgers) in launched.items():
                if run.run_id not in current:
                    forgotten.setdefault(name, time.time())
                elif name == "canceled" and name not in canceled and _has_left(ledgers[0]):
                    canceled.append(name)
                    assert runs.cancel(run)
                elif name == "threads" and runs.read(run).is_finished:
                    # Harmless, as nobody can cancel it any more.
                    runs.server.client.cancel_execution(CancelExecutionRequest(run_id=run.run_id))
            return len(forgotten) == len(launched)

        with suppress(TimeoutError):
            eventually(all_forgotten, "", ALL_SECONDS)
        yield Outcome(
            {
                name: Ended(run, runs, _seconds(runs, run, forgotten.get(name)), ledgers)
                for name, (run, ledgers) in launched.items()
            },
            [
                f"{process.pid} {process.name()}"
                for process in runs.server.container.processes()
                # Of the server itself, from its first spawned run on.
                if process.pid not in before and process.name() != spawner.NAME
            ],
        )


@pytest.mark.parametrize("name", NAMES)
def test_its_slot_is_free_soon_and_it_says_once_what_it_left(outcome: Outcome, name: str) -> None:
    ended = outcome.ended[name]
    told = ended.runs.told(ended.run)
    assert ended.status is STATUS.get(name, DagsterRunStatus.SUCCESS), told
    assert ended.seconds < MOST_SECONDS, told
    said = [text for text in ended.said() if CASES[name].job == "work_job" or "Step" in text]
    assert len(said) == bool(CASES[name].named), told
    for text in said:
        assert [word for word in CASES[name].named if word not in text] == []
        assert len(text) < 600


@pytest.mark.parametrize("name", NAMES)
def test_what_happened_is_stored_once(outcome: Outcome, name: str) -> None:
    """No copy of its process stores anything, and nothing comes after the run's end."""
    ended = outcome.ended[name]
    sequence = ended.runs.sequence(ended.run)
    spoken_of_often = {"ENGINE_EVENT", "LOGS_CAPTURED"}
    twice = {
        event: count
        for event, count in Counter(sequence).items()
        if count > 1 and event[0] not in spoken_of_often
    }
    assert twice == {}
    kinds = [kind for kind, _ in sequence]
    [end] = [kind.value for kind in ENDS if kind.value in kinds]
    assert set(kinds[kinds.index(end) + 1 :]) <= {"ENGINE_EVENT"}


def test_a_copy_that_comes_back_executes_no_other_op(outcome: Outcome) -> None:
    ended = outcome.ended["copies"]
    lines = ended.ledgers[1].read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["began", "ended"]
    assert "is a copy of process" in ended.runs.server.said()


def test_exit_handlers_have_their_time(outcome: Outcome) -> None:
    lines = outcome.ended["copies"].ledgers[0].read_text().splitlines()
    assert [line for line in lines if line.startswith("flushed")] != []


def test_nothing_is_left(outcome: Outcome) -> None:
    assert outcome.left == []
