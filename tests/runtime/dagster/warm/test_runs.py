"""Runs and steps of a real code server are forked, and are like those that Dagster spawns."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus

from tests.runtime.dagster.warm.server import CodeServer, report
from tests.waiting import eventually

SPAWN: dict[str, Any] = {"config": {"multiprocess": {"start_method": {"spawn": {}}}}}


def keeper_of(server: CodeServer) -> psutil.Process:
    template = server.template()
    assert template is not None
    [keeper] = template.children()
    assert keeper.name() == "run-keeper"
    return keeper


def test_a_run_is_forked_from_the_template(server: CodeServer, tmp_path: Path) -> None:
    run = server.start(report_to=str(tmp_path / "r"), wait_for=str(tmp_path / "go"))
    found = report(tmp_path / "r")
    assert found["ppid"] == keeper_of(server).pid
    (tmp_path / "go").touch()
    assert server.ended(run).status is DagsterRunStatus.SUCCESS
    template = server.template()
    assert template is not None
    eventually(lambda: template.children() == [])


def test_steps_are_forked_from_the_run_s_keeper(server: CodeServer, tmp_path: Path) -> None:
    go = str(tmp_path / "go")
    run = server.start(
        "steps_job",
        report_to=str(tmp_path / "1"),
        wait_for=go,
        too={"report_to": str(tmp_path / "2"), "wait_for": go},
    )
    found = [report(tmp_path / "1"), report(tmp_path / "2")]
    keeper = keeper_of(server).pid
    assert [step["ppid"] for step in found] == [keeper, keeper]
    assert len({step["pid"] for step in found}) == 2
    (tmp_path / "go").touch()
    assert server.ended(run).status is DagsterRunStatus.SUCCESS


def test_a_start_method_that_the_config_names_is_used(server: CodeServer, tmp_path: Path) -> None:
    # Its interpreter is new, so its parent is the run, not the keeper.
    go = str(tmp_path / "go")
    run = server.start(
        "steps_job",
        execution=SPAWN,
        report_to=str(tmp_path / "1"),
        wait_for=go,
    )
    found = report(tmp_path / "1")
    parent = psutil.Process(found["ppid"])
    assert parent.ppid() == keeper_of(server).pid
    assert "spawn_main" in " ".join(psutil.Process(found["pid"]).cmdline())
    (tmp_path / "go").touch()
    assert server.ended(run).status is DagsterRunStatus.SUCCESS


def test_nothing_is_left_of_a_run(server: CodeServer, tmp_path: Path) -> None:
    run = server.start(leave=True, report_to=str(tmp_path / "r"))
    found = report(tmp_path / "r")
    server.ended(run)
    assert not psutil.pid_exists(found["leftover"])
    assert not Path(found["file"]).exists()
    assert not Path(found["file"]).parent.exists()


def test_a_run_s_process_is_like_a_spawned_one(server: CodeServer, tmp_path: Path) -> None:
    runs = [server.start(report_to=str(tmp_path / name)) for name in "12"]
    first, second = report(tmp_path / "1"), report(tmp_path / "2")
    assert first["random"] != second["random"]
    assert first["oom_score_adj"] == 1000
    assert first["handlers"] == 0
    assert first["sigterm_is_default"] == second["sigterm_is_default"]
    assert first["threads"] == ["MainThread", "QueueFeederThread", "termination-handler"]
    for run in runs:
        server.ended(run)


def test_a_canceled_run_ends_as_dagster_has_it(server: CodeServer, tmp_path: Path) -> None:
    run = server.start(report_to=str(tmp_path / "r"), wait_for=str(tmp_path / "never"))
    report(tmp_path / "r")
    server.instance.report_run_canceling(run)
    server.cancel(run)
    assert server.ended(run).status is DagsterRunStatus.CANCELED


def test_a_run_that_is_killed_fails_with_its_signal(server: CodeServer, tmp_path: Path) -> None:
    run = server.start(report_to=str(tmp_path / "r"), wait_for=str(tmp_path / "never"))
    os.kill(report(tmp_path / "r")["pid"], 9)
    assert server.ended(run).status is DagsterRunStatus.FAILURE
    assert "SIGKILL" in messages(server.instance, run)


def test_a_run_whose_keeper_is_killed_ends_with_all_that_is_below(
    server: CodeServer, tmp_path: Path
) -> None:
    run = server.start(leave=True, report_to=str(tmp_path / "r"), wait_for=str(tmp_path / "no"))
    found = report(tmp_path / "r")
    os.kill(found["ppid"], 9)
    assert server.ended(run).status is DagsterRunStatus.FAILURE
    eventually(lambda: not psutil.pid_exists(found["leftover"]))
    assert not psutil.pid_exists(found["pid"])


def test_the_events_are_those_of_a_spawned_run(
    server: CodeServer, instance: DagsterInstance, tmp_path: Path
) -> None:
    with CodeServer.running(tmp_path, instance, "-m", "warm_probe", "--no-warm-start") as cold:
        assert cold.template() is None
        for job in ("look_job", "steps_job"):
            spawned = cold.ended(cold.start(job))
            forked = server.ended(server.start(job))
            assert kinds(instance, spawned) == kinds(instance, forked)


def messages(instance: DagsterInstance, run: DagsterRun) -> str:
    return "\n".join(record.message for record in instance.all_logs(run.run_id))


def kinds(instance: DagsterInstance, run: DagsterRun) -> Counter[tuple[str, str | None]]:
    """Kinds of events and their steps; two steps at once come in any order."""
    return Counter(
        (record.dagster_event.event_type_value, record.step_key)
        for record in instance.all_logs(run.run_id)
        if record.dagster_event is not None
    )
