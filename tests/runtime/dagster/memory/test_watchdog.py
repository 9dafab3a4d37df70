"""The watchdog on real processes in a made up container: who goes, when, and who stays."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from run_isolation.dagster.memory.reservations import UNKNOWN_MIB, YOUNG_SECONDS, HostedRuns
from run_isolation.dagster.memory.usage import MOST_OF_A_CPU, Meter, Usage
from run_isolation.dagster.memory.watchdog import CLOSE_LOOK_SECONDS, LOOK_SECONDS, Watchdog
from run_isolation.dagster.processes.of_a_run import processes
from run_isolation.errors import StartRefusedError
from run_isolation.standing.container_memory import MIB, Reading
from tests.runtime.dagster.memory.takers import Container, taker

LOG = logging.getLogger("test")
ROOMY = Reading(1024 * MIB, 0)


def watchdog(pids: dict[str, int], limit_mib: int) -> tuple[HostedRuns, Watchdog]:
    runs = HostedRuns()
    for run_id, pid in pids.items():
        runs.started(run_id, pid)
    container = Container(limit=limit_mib * MIB, pids=list(pids.values()))
    return runs, Watchdog(runs, lambda: container, LOG)


def lives(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_the_largest_run_goes_with_all_its_processes_and_only_it() -> None:
    with taker(60) as small, taker(20, child_mib=90) as large:
        pids = {"small": small.pid, "large": large.pid}
        tree = processes(large.pid)
        runs, dog = watchdog(pids, limit_mib=230)
        dog.look()
        verdict = runs.look()["large"].verdict
        assert verdict is not None
        assert not verdict.by_kernel
        assert verdict.used is not None
        assert 110 * MIB <= verdict.used < 200 * MIB
        assert len(tree) == 2
        assert not any(lives(pid) for pid in tree)
        assert lives(small.pid)
        assert runs.look()["small"].verdict is None
        assert "230 MiB" in str(verdict)
        # The next look finds memory enough.
        dog.look()
        assert lives(small.pid)


def test_one_run_at_a_time_until_there_is_enough() -> None:
    with ExitStack() as stack:
        pids = {f"{mib}": stack.enter_context(taker(mib)).pid for mib in (40, 60, 80)}
        runs, dog = watchdog(pids, limit_mib=140)
        dog.look()
        assert [name for name, run in runs.look().items() if run.verdict] == ["80"]
        dog.look()
        assert [name for name, run in runs.look().items() if run.verdict] == ["60", "80"]
        dog.look()
        assert lives(pids["40"])


def test_nobody_goes_while_the_reserve_is_free() -> None:
    with taker(60) as run:
        runs, dog = watchdog({"run": run.pid}, limit_mib=1024)
        assert dog.look() == LOOK_SECONDS
        assert lives(run.pid)
        usage = runs.look()["run"].usage
        assert usage.peak_bytes is not None
        assert usage.peak_bytes >= 60 * MIB


def test_it_looks_more_often_where_little_is_left() -> None:
    with taker(60) as run:
        _, dog = watchdog({"run": run.pid}, limit_mib=230)
        assert dog.look() == CLOSE_LOOK_SECONDS
        assert lives(run.pid)


def test_without_runs_it_looks_at_nothing() -> None:
    asked: list[str] = []
    runs = HostedRuns()
    dog = Watchdog(runs, lambda: asked.append("container"), LOG)
    assert dog.look() is None
    dog.run_starts()
    assert dog.look() == LOOK_SECONDS, "a process is to come"
    assert asked == []


def test_runs_are_the_first_that_the_kernel_takes() -> None:
    with taker(1) as run:
        HostedRuns().started("run", run.pid)
        assert Path(f"/proc/{run.pid}/oom_score_adj").read_text() == "1000\n"


def why_not(runs: HostedRuns, expected_mib: float, reading: Reading = ROOMY) -> str:
    with pytest.raises(StartRefusedError) as refused:
        runs.reserve("another", expected_mib, reading)
    return str(refused.value)


def test_a_run_needs_what_is_free_beside_the_reserve() -> None:
    runs = HostedRuns()
    assert why_not(runs, 900, Reading(1024 * MIB, 200 * MIB)) == (
        "Too little memory is free: it needs 900 MiB (by its recent runs), and of the container's "
        "1024 MiB 824 are free, of which 0 are kept for other runs and 82 in reserve."
    )
    runs.reserve("run", 740, Reading(1024 * MIB, 200 * MIB))


def test_what_runs_are_expected_to_take_is_kept_for_them() -> None:
    now = [0.0]
    runs = HostedRuns(clock=lambda: now[0])
    known = runs.reserve("known", 500, ROOMY)
    assert "500 are kept for other runs" in why_not(runs, 500)
    runs.reserve("unknown", None, ROOMY)
    # A run of which nothing is known soon has what it needs, a known one gets what it needs.
    assert f" {500 + UNKNOWN_MIB} are kept" in why_not(runs, 900)
    now[0] = YOUNG_SECONDS + 1
    assert " 500 are kept" in why_not(runs, 900)
    runs.withdraw("known", known)
    runs.reserve("another", 900, ROOMY)


def test_of_a_process_that_is_over_nothing_is_kept_and_what_it_took_is_known() -> None:
    runs = HostedRuns()
    kept = runs.reserve("run", 500, ROOMY)
    with taker(1) as process:
        runs.started("run", process.pid)
        assert runs.look() == {"run": kept}
    runs.withdraw("run", kept)
    assert runs.look() == {}
    runs.reserve("another", 900, ROOMY)
    assert runs.forget("run") is kept


def test_measuring_takes_a_small_part_of_the_time() -> None:
    now = [0.0]

    def clock() -> float:
        # Each question takes a tenth of a second.
        now[0] += 0.1
        return now[0]

    meter, usage = Meter(clock), Usage()
    with taker(10) as run:
        meter.measure({run.pid: usage})
        assert usage.peak_bytes is not None
        first, usage.peak_bytes = usage.peak_bytes, None
        meter.measure({run.pid: usage})
        assert usage.peak_bytes is None, "not so soon"
        now[0] += 0.1 / MOST_OF_A_CPU
        meter.measure({run.pid: usage})
        assert usage.peak_bytes == pytest.approx(first, rel=0.1)
