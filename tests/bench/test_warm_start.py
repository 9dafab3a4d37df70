"""The instrument measures what it says, on real servers, without limits and once each."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from bench.harness import Row
from bench.warm_start.contenders import PEER, contenders
from bench.warm_start.held import most
from bench.warm_start.measure import QUICK, measure

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def rows() -> dict[str, Row]:
    measured, _ = measure(Console(stderr=True), QUICK)
    return {row.metric: row for row in measured}


def test_each_metric_is_measured_for_both(rows: dict[str, Row]) -> None:
    assert rows.keys() - {"warm_after_ready_s"} == {
        *("server_ready_s", "idle_server_mib", "added_run_mib", "sensor_tick_under_load_s"),
        *("run_start_s", "run_end_in_process_s", "run_end_default_executor_s"),
    }
    for row in rows.values():
        assert row.runs == 1
        assert row.ours > 0 or row.metric == "warm_after_ready_s"
        assert row.peers.keys() == {PEER}
        assert "No limits." in row.note


def test_an_end_is_after_its_start_and_steps_take_longer_in_processes(
    rows: dict[str, Row],
) -> None:
    start, end, default = (
        rows[name].peers[PEER] or 0.0
        for name in ("run_start_s", "run_end_in_process_s", "run_end_default_executor_s")
    )
    assert 0 < start < end < default


def test_a_server_has_tens_of_mib_and_so_has_a_spawned_run(rows: dict[str, Row]) -> None:
    """Memory is in MiB: an interpreter with Dagster is neither 5 nor 500."""
    for name in ("idle_server_mib", "added_run_mib"):
        assert 30 < (rows[name].peers[PEER] or 0.0) < 300


def test_runs_are_counted_until_the_limit(tmp_path: Path) -> None:
    with contenders(tmp_path, None) as (both, _), both[1].serving() as runs:
        number, why = most(runs, 2, tmp_path)
        assert (number, why) == (2, "stopped at 2")
        assert runs.server.container.processes() == []
