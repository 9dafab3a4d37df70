"""Asking a real code server of Dagster."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import tenacity

from tests.waiting import PATIENCE_SECONDS
from tools.local.code_server import NotServingError, Served, ask, check_health

pytestmark = pytest.mark.e2e

DEFINITIONS = """\
import dagster as dg

@dg.asset(key_prefix="raw")
def orders() -> int:
    return 1

nightly = dg.define_asset_job("nightly", "*")

@dg.sensor(job=nightly)
def arrivals():
    return dg.SkipReason("none")

defs = dg.Definitions(
    assets=[orders], jobs=[nightly], sensors=[arrivals],
    schedules=[dg.ScheduleDefinition(name="at_night", job=nightly, cron_schedule="0 2 * * *")],
)
"""


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    (tmp_path / "defs.py").write_text(DEFINITIONS)
    command = [sys.executable, "-m", "dagster", "api", "grpc", "-f", "defs.py"]
    with subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port)], cwd=tmp_path
    ) as server:
        yield port
        server.terminate()


def test_lists_what_it_serves_once_it_is_healthy(port: int) -> None:
    with pytest.raises(NotServingError, match=f"127.0.0.1:{port} does not answer"):
        check_health("127.0.0.1", port)
    tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(NotServingError),
        stop=tenacity.stop_after_delay(PATIENCE_SECONDS),
        wait=tenacity.wait_fixed(0.2),
    )(check_health, "127.0.0.1", port)
    assert ask("trial", "127.0.0.1", port) == Served(
        assets=["raw/orders"],
        jobs=["nightly"],
        sensors=["arrivals"],
        schedules=["at_night"],
        repositories={"__repository__": ["nightly"]},
    )
