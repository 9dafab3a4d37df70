"""What follows from the start, the cancel and the end of a run's process, and in which order."""

from __future__ import annotations

import errno
import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from queue import Empty, Queue
from threading import Event, Lock
from typing import Any
from unittest.mock import MagicMock, patch

import pytest
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._grpc.impl import StartRunInSubprocessSuccessful

from run_isolation import start_run_timers
from run_isolation.dagster.standing import last_words, run_ends
from run_isolation.dagster.standing.records import Records
from run_isolation.dagster.standing.run_processes import RunProcesses
from run_isolation.dagster.standing.run_start import RunAsked
from run_isolation.errors import StartUnfinishedError
from tests.waiting import eventually

RUN = "a-run"
NO_PID = 2**22 + 1
"""Of no process: more than the kernel gives (PID_MAX_LIMIT in include/linux/threads.h)."""


@dataclass
class Process:
    """Of a run, as multiprocessing has it."""

    alive: bool = True
    pid: int | None = NO_PID
    exitcode: int | None = 0
    starts: Callable[[], None] = lambda: None

    def is_alive(self) -> bool:
        return self.alive

    def start(self) -> None:
        self.starts()


@dataclass
class Server:
    """Dagster's side, played, and what is done on ours, in order."""

    instance: DagsterInstance
    done: list[str] = field(default_factory=list)
    process: Process = field(default_factory=Process)
    interrupted: Event = field(default_factory=Event)
    events: Queue[Any] = field(default_factory=Queue)
    reached: Event = field(default_factory=Event)
    """Whether the storage answers."""

    def __post_init__(self) -> None:
        self.reached.set()
        self.on_record: dict[str, Any] = {}
        self.records = Records(Lock(), self.on_record, {}, self.forget)
        self.memory, self.hosting, self.context = MagicMock(), MagicMock(), MagicMock()
        self.hosting.starting.return_value = frozenset()
        self.context.Process.return_value = self.process
        self.context.Event.return_value = self.interrupted
        self.context.Queue.return_value = self.events
        self.task = MagicMock()
        for name, part in (("memory", self.memory), ("slot", self.hosting), ("task", self.task)):
            for method in ("protect", "run_starts", "started", "tell", "ended", "run_ended"):
                step = f"{name}: {method}"
                getattr(part, method).side_effect = lambda *_, step=step: self.done.append(step)
        self.processes = RunProcesses(
            self.records, self.memory, self.hosting, logging.getLogger("test"), self.context
        )
        self.processes.task = self.task

    def forget(self, run_id: str) -> None:
        del self.on_record[run_id], self.records.cancel_events[run_id]

    def begin(self) -> None:
        """A process that has said that it has begun."""
        self.events.put(StartRunInSubprocessSuccessful())
        assert self.processes.start(ASKED, None).success
        self.done.clear()

    def from_ref(self, *_: Any) -> Any:
        self.reached.wait(timeout=30)
        opened = MagicMock()
        opened.__enter__.return_value = self.instance
        return opened

    def status(self) -> DagsterRunStatus:
        run = self.instance.get_run_by_id(RUN)
        assert run is not None
        return run.status


ASKED = RunAsked(RUN, MagicMock(), "", None)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with DagsterInstance.ephemeral() as instance:
        instance.add_run(DagsterRun("job", run_id=RUN, status=DagsterRunStatus.STARTED))
        server = Server(instance)
        monkeypatch.setattr(DagsterInstance, "from_ref", server.from_ref)
        yield server
        server.reached.set()
        server.processes.close()


def test_the_task_is_protected_and_memory_watched_before_a_process_begins(server: Server) -> None:
    before: list[str] = []
    server.process.starts = lambda: before.extend(server.done)
    server.processes.begin(ASKED)
    assert before == ["task: protect", "memory: run_starts"]


def test_a_task_that_cannot_be_protected_starts_its_runs(server: Server) -> None:
    server.task.protect.side_effect = AttributeError("'NoneType' object has no attribute 'get'")
    server.begin()


def test_a_start_asks_for_a_slot_and_for_room(server: Server) -> None:
    server.processes.start(ASKED, 2, 212.0, 54.0)
    run_id, attempt, launch, seconds = server.hosting.start.call_args.args
    assert (run_id, attempt, seconds) == (RUN, 2, 54.0)
    assert launch.reserve() is server.memory.reserve.return_value
    server.memory.reserve.assert_called_once_with(RUN, 212.0)
    assert launch.refuse("no").message == "no"


def test_a_process_that_cannot_be_started_leaves_nothing_on_record(server: Server) -> None:
    def full() -> None:
        raise OSError("no processes left")

    server.process.starts = full
    with pytest.raises(OSError, match="no processes left"):
        server.processes.begin(ASKED)
    assert not server.processes.any_here()
    assert not server.processes.cancel(RUN)
    server.memory.forget.assert_called_once_with(RUN)


def test_a_cancel_reaches_a_process_that_is_being_forked(server: Server) -> None:
    server.process.starts = lambda: server.done.append(str(server.processes.cancel(RUN)))
    server.processes.begin(ASKED)
    assert "True" in server.done
    assert server.interrupted.wait(timeout=10)
    assert not server.processes.can_cancel(RUN)


def test_a_process_that_says_nothing_holds_no_call_and_no_lock(server: Server) -> None:
    with pytest.raises(StartUnfinishedError):
        server.processes.start(ASKED, None, seconds=0.01)
    assert server.processes.current() == [RUN]
    assert server.processes.cancel(RUN)
    server.processes.look_after()
    server.events.put(StartRunInSubprocessSuccessful())
    eventually(lambda: not server.records.starting)


def test_a_process_that_ends_without_a_word_is_forgotten_and_not_told_of(server: Server) -> None:
    server.process.alive, server.process.exitcode = False, -9
    result = server.processes.start(ASKED, None)
    assert not result.success
    assert "terminated unexpectedly with exit code -9" in str(result.message)
    server.processes.look_after()
    assert server.status() is DagsterRunStatus.STARTED
    assert not server.processes.any_here()


def test_a_process_whose_word_is_not_understood_is_ended_before_its_run_goes_elsewhere(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(*_: object, **__: object) -> Any:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(server.events, "get", none_left)
    monkeypatch.setattr(os, "scandir", none_left)
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as process:
        server.process.pid = process.pid
        result = server.processes.start(ASKED, None, seconds=10)
        assert process.wait(timeout=10) == -signal.SIGKILL
    assert "Too many open files" in str(result.message)
    assert not server.processes.any_here()


def test_a_process_that_has_said_its_word_and_is_gone_was_started(server: Server) -> None:
    """Whoever is kept waiting between two looks, as at a quarter of a CPU, sees both at once."""

    class Events(Queue[Any]):
        def get(self, block: bool = True, timeout: float | None = None) -> Any:
            if server.process.alive:
                server.process.alive = False
                self.put(StartRunInSubprocessSuccessful())
                raise Empty
            return super().get(block, timeout)

    server.context.Queue.return_value = Events()
    assert server.processes.start(ASKED, None).success


def test_what_is_kept_for_a_run_is_given_back_before_the_storage_answers(server: Server) -> None:
    """Seconds to minutes where it does not: looks go on, and nobody waits for them."""
    server.begin()
    server.reached.clear()
    server.process.alive, server.process.exitcode = False, 1
    for _ in range(3):
        begun = time.monotonic()
        server.processes.look_after()
        eventually(lambda: len(server.done) == 2)
        assert server.processes.current() == [RUN], "its end is not told yet"
        assert time.monotonic() - begun < 1
    assert server.done == ["slot: ended", "memory: tell"], "the storage is asked once"
    server.memory.over.assert_called()
    server.reached.set()
    eventually(lambda: not server.processes.any_here())
    assert server.done == ["slot: ended", "memory: tell", "memory: ended", "task: run_ended"]
    assert server.status() is DagsterRunStatus.FAILURE


def test_trouble_in_telling_is_logged_and_it_is_told_later(
    server: Server, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_ends, "_ASK_AGAIN_SECONDS", 0)
    server.begin()
    server.process.alive, server.process.exitcode = False, 1
    server.memory.tell.side_effect = [ConnectionError("no database"), None]
    server.processes.look_after()
    eventually(lambda: "no database" in caplog.text)

    def told() -> bool:
        server.processes.look_after()
        return not server.processes.any_here()

    eventually(told)
    assert server.status() is DagsterRunStatus.FAILURE
    server.hosting.ended.assert_called_once_with(RUN)


def test_while_the_storage_does_not_answer_it_is_asked_now_and_then(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """Not twice a second for each run, with a traceback each time."""
    server.begin()
    server.process.alive, server.process.exitcode = False, 1
    server.memory.tell.side_effect = ConnectionError("no database")
    for _ in range(5):
        server.processes.look_after()
        eventually(lambda: not server.processes._ends._in_hand)
    assert "no database" in caplog.text
    server.memory.tell.assert_called_once()


def test_the_end_of_a_run_that_is_told_during_a_look_is_told_once(server: Server) -> None:
    """The next one, of whom nothing is known any more, would write over what the run has taken."""
    server.begin()
    server.process.alive, server.process.exitcode = False, 1
    server.reached.clear()
    server.processes.look_after()
    begun = server.records.begun

    def told_meanwhile(_: Records) -> Any:
        before = begun()
        server.reached.set()
        eventually(lambda: not server.processes._ends._ended)
        return before

    with patch.object(Records, "begun", told_meanwhile):
        server.processes.look_after()
    server.processes._ends.close()
    assert server.done.count("memory: ended") == 1


def test_a_storage_that_does_not_answer_is_asked_of_a_canceled_run_once(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each further question would keep a thread, or wait for one, for as long."""
    monkeypatch.setattr(start_run_timers, "OVER_SECONDS", 0)
    monkeypatch.setattr(run_ends, "_ASK_AGAIN_SECONDS", 0)
    server.begin()
    server.reached.clear()
    server.processes.cancel(RUN)
    with patch.object(last_words, "needs_no_process", wraps=last_words.needs_no_process) as asked:
        for _ in range(5):
            server.processes.look_after()
        eventually(lambda: asked.called)
        server.reached.set()
        eventually(lambda: not server.processes._ends._in_hand)
        asked.assert_called_once()


def test_a_cancel_of_a_run_that_is_over_meanwhile_leaves_nothing(server: Server) -> None:
    server.processes._ends.canceled(RUN)
    server.processes.look_after()
    assert not server.processes._ends._canceled


def test_trouble_in_a_look_is_logged_and_ends_no_thread(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.memory.over.side_effect = ConnectionError("no memory")
    server.processes.look_after()
    assert "no memory" in caplog.text


def test_a_run_that_is_being_started_is_here_before_it_has_a_process(server: Server) -> None:
    assert not server.processes.any_here()
    server.hosting.starting.return_value = frozenset({"new"})
    assert server.processes.any_here()
    server.begin()
    assert server.processes.current() == [RUN, "new"]


def test_a_canceled_run_whose_process_could_not_say_so_is_canceled(server: Server) -> None:
    server.begin()
    run = server.instance.get_run_by_id(RUN)
    assert run is not None
    server.instance.report_run_canceling(run)
    assert server.processes.cancel(RUN)
    server.processes.look_after()
    assert server.status() is DagsterRunStatus.CANCELING
    server.process.alive = False
    server.processes.look_after()
    eventually(lambda: server.status() is DagsterRunStatus.CANCELED)


@pytest.mark.parametrize("how", ["deleted", "failed", "canceling"])
def test_a_canceled_process_whose_run_is_over_is_killed_and_no_other(
    server: Server, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(start_run_timers, "OVER_SECONDS", 0)
    deaf = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        server.process.pid = deaf.pid
        server.begin()
        run = server.instance.get_run_by_id(RUN)
        assert run is not None
        if how == "deleted":
            server.instance.delete_run(RUN)
        elif how == "failed":
            server.instance.report_run_failed(run)
        else:
            server.instance.report_run_canceling(run)
        server.processes.cancel(RUN)
        server.processes.look_after()
        server.processes._ends.close()
        if how == "canceling":
            assert deaf.poll() is None, "it has its time"
        else:
            assert deaf.wait(timeout=10) == -signal.SIGKILL
    finally:
        if deaf.poll() is None:
            os.kill(deaf.pid, signal.SIGKILL)
        deaf.wait()
