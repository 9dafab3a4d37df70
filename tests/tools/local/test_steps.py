"""How a step ends."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from tools.local.errors import ExitCode, StepError
from tools.local.steps import step


def test_a_step_says_what_came_of_it() -> None:
    output = io.StringIO()
    with step(Console(file=output, width=200), "stack local", ExitCode.NOT_PROVISIONED) as current:
        current.outcome = "40 created [all]"
    assert output.getvalue() == "✓ stack local: 40 created [all] (0.0 s)\n"


def test_a_failed_step_names_itself_its_reason_and_its_log() -> None:
    output = io.StringIO()
    console = Console(file=output, width=200)
    with pytest.raises(SystemExit) as exit_, step(console, "stack local", ExitCode.NOT_PROVISIONED):
        raise StepError("no room [left]", Path("pulumi.log"))
    assert exit_.value.code == 12
    assert output.getvalue() == "✗ stack local: no room [left]\n  log: pulumi.log\n"
