"""In an ECS task the server executes what it executes outside of one, at two ports."""

from __future__ import annotations

from pathlib import Path

import pytest
from dagster import DagsterRunStatus
from dagster._grpc.client import DagsterGrpcClient

from tests.code_server.runs import new_home, runs_of
from tests.code_server.servers import ADDRESS, WARM, serving
from tests.parity.conftest import PROBE

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def test_a_run_ends_well_in_a_task(tmp_path: Path) -> None:
    home = new_home(tmp_path / "home")
    variables = {"DAGSTER_HOME": str(home)}
    target = ["-m", "probe.definitions"]
    with (
        serving(WARM, PROBE, target, tmp_path / "log", task=True, environment=variables) as server,
        runs_of(server, home) as runs,
    ):
        assert server.control_port != server.port
        control = DagsterGrpcClient(host=ADDRESS, port=server.control_port)
        assert control.get_server_id() == server.client.get_server_id()
        run = runs.execute("steps_job")
        assert run.status is DagsterRunStatus.SUCCESS, runs.told(run)
