"""What runs may do to the standing container: each ends as it should, and the server bears it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from dagster import DagsterEventType, DagsterRunStatus

from tests.code_server.container import SMALL
from tests.code_server.health import watched
from tests.hostile.conftest import Victim
from tests.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

CANCELED_SECONDS = 150
BOMBED_SECONDS = 10.0
"""Linux 6.18 lets each process finish what it does in the kernel, beyond the quota of CPU, and
keeps the container waiting for it afterwards: where two hundred processes fork, 1 to 5 seconds were
seen. ECS gives a container up after three checks, 30 seconds apart, that took over 5 each."""


def reporting(op: str, file: Path) -> dict[str, object]:
    return {"ops": {op: {"config": {"report_to": str(file)}}}}


def bears(victim: Victim) -> None:
    """Nothing is left of the run, and the next one works."""
    victim.nothing_is_left()
    victim.still_works()


@pytest.mark.parametrize("job", ["exits", "segfaults", "exit_in_a_step"])
def test_a_run_whose_process_ends_has_failed(shared: Victim, job: str) -> None:
    run = shared.runs.execute(job)
    assert run.status is DagsterRunStatus.FAILURE
    bears(shared)


@pytest.mark.parametrize("job", ["allocates", "allocate_in_a_step"])
def test_a_run_that_takes_two_gigabytes_is_ended_and_told_why(shared: Victim, job: str) -> None:
    if not shared.limited:
        pytest.skip(shared.runs.server.container.why_unlimited)
    run = shared.runs.execute(job)
    assert run.status is DagsterRunStatus.FAILURE
    told = shared.runs.told(run)
    assert "MiB" in told, told
    assert "1024 MiB" in told, "the container's limit"
    bears(shared)


def test_a_fork_bomb_is_bounded_and_swept_up(one_server: Victim, tmp_path: Path) -> None:
    if not one_server.limited:
        pytest.skip(one_server.runs.server.container.why_unlimited)
    report = tmp_path / "forks"
    with watched(one_server.runs.server, BOMBED_SECONDS):
        run = one_server.runs.execute("bombs", reporting("fork_bomb", report))
        assert run.status is DagsterRunStatus.FAILURE
        assert report.exists(), "it was no bomb: no fork was refused"
        assert 0 < int(report.read_text()) < SMALL.processes
        bears(one_server)


def test_ten_thousand_lines_a_second_are_borne(shared: Victim) -> None:
    run = shared.runs.execute("logs")
    assert run.status is DagsterRunStatus.SUCCESS, shared.runs.told(run)
    records = shared.runs.instance.all_logs(run.run_id, of_type=DagsterEventType.LOGS_CAPTURED)
    [captured] = [record.dagster_event for record in records]
    assert captured is not None
    key = [run.run_id, "compute_logs", str(captured.logs_captured_data.file_key)]
    data = shared.runs.instance.compute_log_manager.get_log_data(key)
    assert data.stdout is not None
    assert data.stdout.count(b"\n") == 50_000
    bears(shared)


def test_a_run_that_ignores_signals_is_canceled(shared: Victim, tmp_path: Path) -> None:
    report = tmp_path / "pid"
    run = shared.runs.launch("ignores_signals", reporting("ignore_signals", report))
    eventually(report.exists, lambda: shared.runs.told(run))
    assert shared.runs.cancel(run)
    began = time.monotonic()
    ended = shared.runs.ended(run, CANCELED_SECONDS)
    assert ended.status is DagsterRunStatus.CANCELED, shared.runs.told(run)
    assert time.monotonic() - began < CANCELED_SECONDS
    bears(shared)


def test_a_run_that_leaks_processes_leaves_none(shared: Victim, tmp_path: Path) -> None:
    report = tmp_path / "pid"
    run = shared.runs.execute("leaks", reporting("leak_processes", report))
    assert run.status is DagsterRunStatus.SUCCESS, shared.runs.told(run)
    assert report.exists()
    bears(shared)


def test_a_run_s_temporary_files_go_with_it(shared: Victim, tmp_path: Path) -> None:
    report = tmp_path / "directory"
    run = shared.runs.execute("fills_disk", reporting("fill_disk", report))
    assert run.status is DagsterRunStatus.SUCCESS, shared.runs.told(run)
    directory = Path(report.read_text())
    assert directory.is_relative_to(shared.temporary)
    eventually(lambda: not directory.exists(), f"{directory} is gone")
    bears(shared)
