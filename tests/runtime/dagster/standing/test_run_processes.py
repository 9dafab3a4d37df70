"""What follows from the start, the cancel and the end of a run's process, and in which order."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import Any
from unittest.mock import MagicMock

import pytest
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus

from run_isolation.dagster.standing.run_processes import Records, RunProcesses

RUN = "a-run"


@dataclass
class Process:
    """Of a run, as Dagster's servicer has it on record."""

    alive: bool = True
    pid: int | None = 7
    exitcode: int | None = None

    def is_alive(self) -> bool:
        return self.alive


@dataclass
class Server:
    """Dagster's side, played, and what is done on ours, in order."""

    done: list[str] = field(default_factory=list)
    process: Process = field(default_factory=Process)
    interrupted: Event = field(default_factory=Event)

    def __post_init__(self) -> None:
        self.on_record: dict[str, Any] = {RUN: (self.process, MagicMock())}
        self.canceled_at: dict[str, float] = {}
        self.records = Records(Lock(), self.on_record, {RUN: self.interrupted}, self.canceled_at)
        self.memory, self.hosting = MagicMock(), MagicMock()
        self.hosting.starting.return_value = frozenset()
        self.task = MagicMock()
        for name, part in (("memory", self.memory), ("slot", self.hosting), ("task", self.task)):
            for method in ("protect", "run_starts", "before_forgotten", "ended", "run_ended"):
                step = f"{name}: {method}"
                getattr(part, method).side_effect = lambda *_, step=step: self.done.append(step)
        self.processes: RunProcesses[str] = RunProcesses(
            self.records,
            self.memory,
            self.hosting,
            logging.getLogger("test"),
            lambda: self.done.append("template: check"),
        )
        self.processes.task = self.task

    def forget(self) -> None:
        self.done.append("dagster: forget")
        del self.on_record[RUN]


@pytest.fixture
def server() -> Server:
    return Server()


def test_the_task_is_protected_and_memory_watched_before_a_process_begins(server: Server) -> None:
    before = server.processes.begin(lambda: ", ".join(server.done))
    assert before == "task: protect, memory: run_starts"


def test_a_start_asks_for_a_slot_and_for_room(server: Server) -> None:
    server.processes.start(RUN, 2, lambda: "started", lambda why: why, 212.0)
    run_id, attempt, begin, refuse, why_not = server.hosting.start.call_args.args
    assert (run_id, attempt, begin(), refuse("no")) == (RUN, 2, "started", "no")
    assert why_not() is server.memory.why_no_room.return_value
    server.memory.why_no_room.assert_called_once_with(RUN, 212.0)


def test_a_look_tells_of_memory_before_dagster_forgets(server: Server) -> None:
    server.processes.look_after(lambda: server.done.append("dagster: look"))
    assert server.done == ["template: check", "memory: before_forgotten", "dagster: look"]


def test_trouble_in_a_look_is_logged_and_ends_no_thread(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    def trouble() -> None:
        raise ConnectionError("no database")

    server.processes.look_after(trouble)
    assert "no database" in caplog.text


def test_a_process_that_ends_as_it_begins_is_forgotten_once(server: Server) -> None:
    """StartRun and the watching thread both notice; whoever comes second finds nothing to do."""
    server.processes.forget(RUN, server.forget)
    server.processes.forget(RUN, server.forget)
    assert server.done == ["dagster: forget", "memory: ended", "slot: ended", "task: run_ended"]


def test_a_cancel_returns_at_once_and_says_whether_there_is_a_process(server: Server) -> None:
    assert server.processes.cancel(RUN)
    assert server.interrupted.wait(timeout=10)
    assert RUN in server.canceled_at
    assert not server.processes.cancel("another")


def test_a_run_that_is_being_started_is_here_before_it_has_a_process(server: Server) -> None:
    server.on_record.clear()
    assert not server.processes.any_here()
    server.hosting.starting.return_value = frozenset({"new"})
    assert server.processes.any_here()
    assert server.processes.with_starting(lambda: [RUN]) == [RUN, "new"]


def test_a_canceled_run_whose_process_could_not_say_so_is_canceled(server: Server) -> None:
    with DagsterInstance.ephemeral() as instance:
        run = instance.add_run(DagsterRun("job", run_id=RUN, status=DagsterRunStatus.CANCELING))
        reference = MagicMock()
        server.on_record[RUN] = (server.process, reference)
        server.canceled_at[RUN] = 1.0
        with pytest.MonkeyPatch.context() as patch:
            opened = MagicMock()
            opened.return_value.__enter__.return_value = instance
            patch.setattr(DagsterInstance, "from_ref", opened)
            server.processes.look_after(lambda: None)
            assert instance.get_run_by_id(run.run_id) == run
            server.process.alive = False
            server.processes.look_after(lambda: None)
        after = instance.get_run_by_id(run.run_id)
        assert after is not None
        assert after.status is DagsterRunStatus.CANCELED
