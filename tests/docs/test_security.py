"""Each line of docs/security.md names a test that there is, and each test of it has a line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "security.md"
TEXT = PAGE.read_text()
NAMED = re.findall(r"\[`(test_\w+)`\]\((\S+)\)", TEXT)
NONE = 2
"""Lines whose claim is about Dagster's database, or bad for us: nothing of ours could fail."""


@pytest.mark.parametrize(("test", "file"), sorted(set(NAMED)))
def test_a_line_s_test_is_there(test: str, file: str) -> None:
    assert f"\ndef {test}(" in (PAGE.parent / file).read_text()


def test_each_line_has_one() -> None:
    rows = [row for row in TEXT.splitlines() if row.startswith("| ") and "---" not in row]
    rows = [row for row in rows if not row.startswith("| It can")]
    without = [row for row in rows if not re.search(r"\| \[`test_\w+`\]\(\S+\) \|$", row)]
    assert len(rows) > 20
    assert len(without) == NONE, without
    assert all("| none" in row for row in without)


def test_each_test_on_the_enforced_account_has_a_line() -> None:
    tests = (PAGE.parent / "../tests/security/test_code_location.py").read_text()
    assert {*re.findall(r"^def (test_\w+)", tests, re.MULTILINE)} <= {test for test, _ in NAMED}
