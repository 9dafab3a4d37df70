"""The commands: every option of Dagster's own, and what ours add."""

from __future__ import annotations

import json
from pathlib import Path

import dagster
import pytest
import yaml
from click.testing import CliRunner
from dagster import DagsterRunStatus

from run_isolation.cli import main
from run_isolation.dagster import run_record
from run_isolation.dagster.patching import SeamError, replaced
from run_isolation.slots.decision import Kind
from run_isolation.task_metadata import ENDPOINT_VARIABLE
from tests.runtime.dagster.account import LOCATION, PORT, Stack
from tests.runtime.dagster.launches import NON_ISOLATED, Launches
from tests.waiting import eventually


@pytest.mark.parametrize(
    ("command", "option"),
    [
        ("code-server", "--lazy-load-user-code"),
        ("daemon", "--code-server-log-level"),
        ("launch", "--op-selection"),
        ("webserver", "--path-prefix"),
    ],
)
def test_options_and_help_are_dagsters(command: str, option: str) -> None:
    result = CliRunner().invoke(main, [command, "--help"])
    assert result.exit_code == 0
    assert option in result.output
    assert f"run-isolation {command}" in result.output


def test_launch_is_by_hand(
    launches: Launches, stack: Stack, standing_task: str, tmp_path: Path
) -> None:
    server = {
        "host": stack.address(standing_task),
        "port": PORT,
        "location_name": LOCATION,
    }
    workspace = tmp_path / "workspace.yaml"
    workspace.write_text(yaml.safe_dump({"load_from": [{"grpc_server": server}]}))
    options = [
        *("launch", "--workspace", str(workspace), "--location", LOCATION),
        *("--job", "work_job", "--tags", json.dumps(NON_ISOLATED)),
    ]
    result = CliRunner().invoke(main, options, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    (run,) = launches.instance.get_runs()
    assert run_record.read(run).kind is Kind.NON_ISOLATED
    assert launches.ended(run).status is DagsterRunStatus.SUCCESS
    eventually(lambda: stack.slots.holders() == ())


def test_run_outside_of_a_task_says_what_to_use_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENDPOINT_VARIABLE, raising=False)
    result = CliRunner().invoke(main, ["run", "--run-id", "x", "--attempt", "1"])
    assert result.exit_code == 1
    assert "dagster job execute" in result.output


def test_a_dagster_that_is_built_otherwise_is_refused() -> None:
    with pytest.raises(SeamError, match="no gone"), replaced(dagster, "gone", None):
        pass
