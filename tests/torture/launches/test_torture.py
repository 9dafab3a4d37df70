"""The short form: a minute of trouble without a violation; and a worker without a claim."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).parents[3]

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def torture(*options: str) -> tuple[int, dict[str, Any]]:
    """Exit code and report."""
    command = [sys.executable, "-m", "tests.torture", "--seed", "1", "--json", "launches", *options]
    result = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert result.stdout, result.stderr
    return result.returncode, json.loads(result.stdout)


def test_launches_stand_it() -> None:
    code, report = torture("--launches", "24", "--real", "3", "--at-once", "6")
    assert code == 0, json.dumps(report)
    assert report["launches"] == 24, json.dumps(report)
    assert len(report["by_trouble"]) > 8, json.dumps(report)


def test_a_worker_without_its_claim_does_not() -> None:
    options = ["--launches", "12", "--real", "0", "--at-once", "6", "--only", "second task"]
    code, report = torture(*options, "--twin", "no claim")
    assert code == 1, json.dumps(report)
    assert report["violations"]["executed_twice"], json.dumps(report)
