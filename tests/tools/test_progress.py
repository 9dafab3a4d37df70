"""Progress where nobody watches: lines."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from tests.waiting import eventually
from tools import progress
from tools.progress import working


def test_without_a_terminal_there_is_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.05)
    output = io.StringIO()
    with working(Console(file=output, width=20), "Provisioning stack [local]") as show:
        eventually(lambda: output.getvalue().count("\n") > 1, "a line")
        show("3 created; create Service sales")
        eventually(lambda: "created" in output.getvalue(), "what is going on")
    first, second, *_, last = output.getvalue().splitlines()
    assert first == "Provisioning stack [local] ..."
    assert re.fullmatch(r"Provisioning stack \[local\], \d+ s", second)
    assert re.fullmatch(
        r"Provisioning stack \[local\], \d+ s: 3 created; create Service sales", last
    )
