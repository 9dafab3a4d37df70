"""What becomes of runs when the server or the template dies, and how each pointer to code works."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
from dagster import DagsterInstance, DagsterRunStatus

from run_isolation.dagster.warm import spawner
from tests.runtime.dagster.warm.server import LOCATION, CodeServer, report
from tests.waiting import eventually

SLEEPS_IN_A_THREAD = """
import threading

threading.Thread(target=threading.Event().wait, daemon=True, name="stays").start()
from warm_probe import defs
"""


def is_below_spawner(keeper: psutil.Process, server: CodeServer) -> bool:
    """Whether it is that of a run with an interpreter of its own."""
    parent = keeper.parent()
    assert parent is not None
    return parent.name() == spawner.NAME and parent.ppid() == server.process.pid


def test_nothing_is_left_of_a_server_that_is_killed(
    instance: DagsterInstance, tmp_path: Path
) -> None:
    with CodeServer.running(tmp_path, instance) as server:
        server.start(leave=True, report_to=str(tmp_path / "r"), wait_for=str(tmp_path / "no"))
        leftover = psutil.Process(report(tmp_path / "r")["leftover"])
        below = psutil.Process(server.process.pid).children(recursive=True)
        assert {p.name() for p in below} >= {"run-template", "run-keeper"}
        server.kill()
        assert psutil.wait_procs([*below, leftover], timeout=60)[1] == []


def test_without_its_template_a_server_spawns_and_says_so(
    instance: DagsterInstance, tmp_path: Path
) -> None:
    with CodeServer.running(tmp_path, instance) as server:
        running = server.start(report_to=str(tmp_path / "1"), wait_for=str(tmp_path / "go"))
        template = server.template()
        assert template is not None
        template.kill()
        eventually(lambda: "The template of warm starts is gone" in server.said())
        run = server.start(report_to=str(tmp_path / "2"), wait_for=str(tmp_path / "go"))
        keeper = psutil.Process(report(tmp_path / "2")["ppid"])
        assert is_below_spawner(keeper, server)
        # The one that it had forked goes on.
        (tmp_path / "go").touch()
        assert server.ended(run).status is DagsterRunStatus.SUCCESS
        assert server.ended(running).status is DagsterRunStatus.SUCCESS


def test_code_that_a_fork_would_break_is_named_and_runs_are_spawned(
    instance: DagsterInstance, tmp_path: Path
) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "threaded.py").write_text(SLEEPS_IN_A_THREAD)
    path = f"{tmp_path / 'code'}:{LOCATION}"
    with CodeServer.running(tmp_path, instance, "-m", "threaded", PYTHONPATH=path) as server:
        assert server.template() is None
        assert "a thread (stays)" in server.said()
        assert "warmStart: false" in server.said()
        go = tmp_path / "go"
        run = server.start(report_to=str(tmp_path / "r"), wait_for=str(go))
        keeper = psutil.Process(report(tmp_path / "r")["ppid"])
        assert is_below_spawner(keeper, server)
        go.touch()
        assert server.ended(run).status is DagsterRunStatus.SUCCESS


@pytest.mark.parametrize(
    "target",
    [
        ("-f", str(LOCATION / "warm_probe" / "definitions.py"), "-d", str(LOCATION)),
        ("--package-name", "warm_probe"),
        ("--autoload-defs-module-name", "warm_probe"),
    ],
)
def test_runs_are_forked_wherever_the_code_is(
    instance: DagsterInstance, tmp_path: Path, target: tuple[str, ...]
) -> None:
    with CodeServer.running(tmp_path, instance, *target) as server:
        template = server.template()
        assert template is not None
        run = server.start(report_to=str(tmp_path / "r"), wait_for=str(tmp_path / "go"))
        assert psutil.Process(report(tmp_path / "r")["ppid"]).ppid() == template.pid
        (tmp_path / "go").touch()
        assert server.ended(run).status is DagsterRunStatus.SUCCESS


def test_code_that_fails_to_import_is_served_as_an_error(
    instance: DagsterInstance, tmp_path: Path
) -> None:
    options = ("-m", "no_such_module", "--lazy-load-user-code")
    with CodeServer.running(tmp_path, instance, *options) as server:
        assert server.template() is None
        assert "no_such_module" in server.said()
