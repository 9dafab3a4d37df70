"""What is written on runs that are over: what they took, and whether memory was the reason."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import MagicMock

import pytest
from dagster import DagsterEvent, DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.events import EngineEventData
from dagster._core.test_utils import create_run_for_test

from run_isolation import tag_names
from run_isolation.dagster.memory import standing_memory
from run_isolation.dagster.memory.run_endings import Ended
from run_isolation.dagster.memory.standing_memory import StandingMemory
from run_isolation.errors import StartRefusedError
from run_isolation.standing.container_memory import MIB
from tests.runtime.dagster.memory.takers import Container, taker
from tests.waiting import eventually

KILLED = -signal.SIGKILL
KERNEL = "The kernel ended a process of this run for want of memory"


@dataclass(frozen=True)
class Killing(Container):
    """A container in which the kernel has killed as many processes as the file says."""

    kills: Path = Path("kills")

    def oom_kills(self) -> int:
        return int(self.kills.read_text())


@dataclass
class Server:
    """What the code server tells."""

    instance: DagsterInstance
    memory: StandingMemory
    kills: Path

    def run(self, pid: int) -> DagsterRun:
        """A STARTED run with this process, which has been measured."""
        run: DagsterRun = create_run_for_test(
            self.instance, job_name="job", status=DagsterRunStatus.STARTED
        )
        self.memory.run_starts()
        self.memory.started(run.run_id, pid)
        eventually(
            lambda: (
                (seen := self.memory._runs.get(run.run_id)) is not None
                and seen.usage.peak_bytes is not None
            )
        )
        return run

    def ended(self, run: DagsterRun, exit_code: int, cpu_seconds: float = 0.0) -> Ended:
        return Ended(run.run_id, exit_code, self.instance.get_ref(), cpu_seconds)

    def over(self, *ended: Ended) -> None:
        """As Dagster's servicer: looks, fails what has not ended, forgets."""
        self.memory.over(ended)
        for one in ended:
            self.memory.tell(one)
            run = self.instance.get_run_by_id(one.run_id)
            if run is not None and not run.is_finished:
                self.instance.report_run_failed(run)
            self.memory.ended(one)

    def read(self, run: DagsterRun) -> DagsterRun:
        stored = self.instance.get_run_by_id(run.run_id)
        assert stored is not None
        return stored

    def failures(self, run: DagsterRun) -> list[str]:
        logs = self.instance.all_logs(run.run_id, of_type=DagsterEventType.RUN_FAILURE)
        return [entry.message for entry in logs]

    def events(self, run: DagsterRun) -> list[str]:
        logs = self.instance.all_logs(run.run_id, of_type=DagsterEventType.ENGINE_EVENT)
        return [entry.message for entry in logs]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    kills = tmp_path / "kills"
    kills.write_text("2")
    (tmp_path / "home").mkdir()
    with DagsterInstance.local_temp(str(tmp_path / "home")) as instance:
        memory = StandingMemory(logging.getLogger(), lambda: Killing(kills=kills))
        yield Server(instance, memory, kills)
        memory.close()


def test_a_run_gets_what_it_took(server: Server) -> None:
    with taker(40) as process:
        run = server.run(process.pid)
    server.instance.report_dagster_event(
        DagsterEvent(DagsterEventType.RUN_SUCCESS.value, job_name="job"), run_id=run.run_id
    )
    server.over(server.ended(run, 0, cpu_seconds=1.5))
    server.memory.close()
    found = server.read(run).tags
    assert 40 <= int(found[tag_names.PEAK_MIB]) < 100
    assert found[tag_names.CPU_SECONDS] == "1.50"
    assert tag_names.OUT_OF_MEMORY not in found


def test_a_run_that_ended_before_anybody_looked_gets_what_it_says(server: Server) -> None:
    run = create_run_for_test(server.instance, job_name="job", status=DagsterRunStatus.STARTED)
    server.instance.report_run_failed(run)
    server.memory.ended(Ended(run.run_id, 0, server.instance.get_ref(), 0.25, 50 * MIB))
    server.memory.close()
    found = server.read(run).tags
    assert (found[tag_names.PEAK_MIB], found[tag_names.CPU_SECONDS]) == ("50", "0.25")


def test_a_storage_that_does_not_answer_for_long_costs_a_run_none_of_its_words(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with taker(40) as process:
        run = server.run(process.pid)
    server.kills.write_text("3")
    ended = server.ended(run, KILLED)
    server.memory.over([ended])
    with monkeypatch.context() as cut:
        cut.setattr(standing_memory, "fail", MagicMock(side_effect=ConnectionRefusedError))
        for _ in range(2 * standing_memory.MOST_TRIES):
            with pytest.raises(ConnectionRefusedError):
                server.memory.tell(ended)
    server.over(ended)
    [failure] = server.failures(run)
    assert failure.startswith(KERNEL)


def test_words_that_cannot_be_said_are_left_out_in_the_end(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with taker(40) as process:
        run = server.run(process.pid)
    server.kills.write_text("3")
    ended = server.ended(run, KILLED)
    server.memory.over([ended])
    monkeypatch.setattr(standing_memory, "fail", MagicMock(side_effect=ValueError))
    for _ in range(standing_memory.MOST_TRIES):
        with pytest.raises(ValueError):  # noqa: PT011  # of no words
            server.memory.tell(ended)
    server.memory.tell(ended)


def test_a_run_that_the_kernel_took_fails_with_our_words_alone(server: Server) -> None:
    with taker(40) as process:
        run = server.run(process.pid)
    server.kills.write_text("3")
    server.over(server.ended(run, KILLED))
    server.memory.close()
    [failure] = server.failures(run)
    assert failure.startswith(KERNEL)
    assert "1024 MiB" in failure
    assert "standing.memory" in failure
    found = server.read(run).tags
    assert found[tag_names.OUT_OF_MEMORY] == "true"
    assert found[tag_names.AGAIN] == tag_names.DUE
    assert int(found[tag_names.PEAK_MIB]) >= 40


@pytest.mark.parametrize(("kills", "exit_code"), [(2, KILLED), (3, 1)])
def test_no_other_death_is_taken_for_it(server: Server, kills: int, exit_code: int) -> None:
    with taker(1) as process:
        run = server.run(process.pid)
    server.kills.write_text(str(kills))
    server.over(server.ended(run, exit_code))
    server.memory.close()
    assert server.read(run).status is DagsterRunStatus.FAILURE
    assert tag_names.OUT_OF_MEMORY not in server.read(run).tags


def test_one_kill_explains_one_death(server: Server) -> None:
    with taker(1) as process:
        first = server.run(process.pid)
        second = server.run(process.pid)
    server.kills.write_text("3")
    server.over(server.ended(first, KILLED))
    server.over(server.ended(second, KILLED))
    server.memory.close()
    assert server.read(first).tags[tag_names.OUT_OF_MEMORY] == "true"
    assert tag_names.OUT_OF_MEMORY not in server.read(second).tags


def test_a_run_whose_step_the_kernel_took_is_found(server: Server) -> None:
    with taker(1) as process:
        run = server.run(process.pid)
    server.kills.write_text("3")
    server.instance.report_engine_event(
        "Multiprocess executor: child process for step more_work was terminated by signal 9 "
        "(SIGKILL).",
        run,
        EngineEventData(),
    )
    server.instance.report_run_failed(run, "Steps failed.")
    server.over(server.ended(run, 0))
    server.memory.close()
    assert server.failures(run) == ["Steps failed."]
    assert server.events(run)[-1].startswith(KERNEL)
    assert server.read(run).tags[tag_names.AGAIN] == tag_names.DUE


def test_a_deleted_run_hinders_nobody(server: Server) -> None:
    with taker(1) as process:
        run, other = server.run(process.pid), server.run(process.pid)
    server.instance.delete_run(run.run_id)
    server.kills.write_text("3")
    server.over(server.ended(run, KILLED), server.ended(other, KILLED))
    assert server.failures(other)[0].startswith(KERNEL)


def test_room_is_refused_by_what_is_free(server: Server) -> None:
    server.memory.reserve("run", None)
    with pytest.raises(StartRefusedError, match="container's 1024 MiB"):
        server.memory.reserve("large", 1000)


def test_what_the_watchdog_sees_needs_no_lock_that_a_call_can_hold(server: Server) -> None:
    """A run that starts while another one's end is being told is measured, and first to go."""
    with taker(40) as process:
        run = server.run(process.pid)
        seen = server.memory._runs.look()[run.run_id]
        assert Path(f"/proc/{process.pid}/oom_score_adj").read_text() == "1000\n"
    assert seen.kills_before == 2
    server.memory.over([server.ended(run, 0)])
    assert server.memory._runs.look() == {}
