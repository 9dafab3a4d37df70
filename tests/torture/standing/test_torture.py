"""The short form: seconds of trouble without a violation; and a server that is seen to lie."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.storage import NO_POSTGRES, postgres_programs
from tools.dynamodb_local import UnavailableError, ensure_jars

pytestmark = [pytest.mark.torture, pytest.mark.timeout(300)]
CHECKOUT = Path(__file__).parents[3]
SMALL = ["--clients", "4", "--slots", "4", "--cpu", "1024", "--longest-cut", "3"]


def torture(*options: str) -> tuple[int, dict[str, Any]]:
    """Exit code and report. A process of its own, with threads of its own."""
    if postgres_programs() is None:
        pytest.skip(NO_POSTGRES)
    try:
        ensure_jars()
    except UnavailableError as error:
        pytest.skip(str(error))
    command = [sys.executable, "-m", "tests.torture", "--seed", "1", "--json", "standing"]
    result = subprocess.run(
        [*command, *SMALL, *options], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    assert result.stdout, result.stderr
    return result.returncode, json.loads(result.stdout)


def test_the_standing_container_stands_it() -> None:
    options = ["--only", "storage cut off", "--only", "run stands still", "--only", "run canceled"]
    code, report = torture(
        "--runs", "15", "--run-seconds", "0.7", "--pause", "1", "--most-seconds", "60", *options
    )
    assert code == 0, json.dumps(report)
    assert report["executed"] > 5, json.dumps(report)
    assert report["troubles"], json.dumps(report)


def test_a_server_that_gives_slots_back_too_early_does_not() -> None:
    code, report = torture("--runs", "2", "--pause", "100", "--run-seconds", "9", "--twin")
    assert code == 1, json.dumps(report)
    assert report["violations"]["without_slot"], json.dumps(report)
