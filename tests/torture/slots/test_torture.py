"""The short form: half a minute of violence without a violation; and twins that it catches."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tools.dynamodb_local import UnavailableError, ensure_jars

pytestmark = pytest.mark.torture
CHECKOUT = Path(__file__).parents[3]


def torture(*options: str) -> tuple[int, dict[str, Any]]:
    """Exit code and report. A process of its own: it forks, which one with threads must not."""
    try:
        ensure_jars()
    except UnavailableError as error:
        pytest.skip(str(error))
    command = [sys.executable, "-m", "tests.torture", "--seed", "1", "slots", "--json", *options]
    result = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert result.stdout, result.stderr
    return result.returncode, json.loads(result.stdout)


def test_slots_stand_it() -> None:
    # Sixteen launchers contend for four slots as 64 do for 16, and take a fraction of the CPU.
    options = ["--acquires", "60", "--launchers", "16", "--servers", "3", "--limit", "4"]
    # It ends by what it has done: on a busy machine little happens in a given time.
    code, report = torture(*options, "--most-seconds", "200", "--pause", "0.4")
    assert code == 0, json.dumps(report)
    assert report["acquires"] >= 60, json.dumps(report)
    assert report["violence"], json.dumps(report)


@pytest.mark.parametrize("twin", ["no count", "storage is believed"])
def test_a_twin_without_its_guard_does_not(twin: str) -> None:
    options = ["--twin", twin, "--pause", "0.2", "--limit", "3", "--run-seconds", "0.5"]
    # It ends long before, by what must not happen.
    options += ["--acquires", "1000"]
    # On a busy machine little happens in twelve seconds.
    for seconds in ("12", "30", "60"):
        code, report = torture(*options, "--most-seconds", seconds)
        if code == 1:
            break
    assert code == 1, json.dumps(report)
    assert report["over_the_limit"] + report["alive_without_slot"] > 0, json.dumps(report)
