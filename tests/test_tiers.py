"""What each tier takes, and the table that is made of it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from tests.tiers import NO_UNIT, ON_ACCOUNT, TIERS, in_no_tier, write_table

BURN = "import time\nwhile time.process_time() < 1: pass"
ORPHAN = f"""
import os, sys
reader, writer = os.pipe()
os.set_inheritable(writer, True)
if os.fork() == 0:
    if os.fork() == 0:
        os.execv(sys.executable, [sys.executable, "-c", {BURN!r}])
    os._exit(0)
os.wait()
os.close(writer)
os.read(reader, 1)
"""
"""Burns CPU in a process whose parent is gone."""
PAGE = "before\n<!-- costs -->\nold\n<!-- /costs -->\nafter\n"


def test_the_exit_code_is_the_commands() -> None:
    command = [sys.executable, "-m", "tests.tiers", "run", "unit", "--", "sh", "-c", "exit 7"]
    assert subprocess.run(command, check=False).returncode == 7


def test_the_table_is_made_of_what_was_measured(tmp_path: Path) -> None:
    for name in TIERS:
        (tmp_path / f"{name}.json").write_text(json.dumps({"wall": 90, "cpu": 120}))
    (tmp_path / "unit.tests.json").write_text(json.dumps({"passed": 12, "skipped": 1}))
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    write_table(tmp_path, page)
    write_table(tmp_path, page)
    text = page.read_text()
    assert "| unit, infra mocks, wire | 12 | 1 | 1.5 | 2.0 |" in text
    assert f"| **all** | 12 | 1 | {len(TIERS) * 1.5:.1f} | {len(TIERS) * 2.0:.1f} |" in text
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text


def test_a_tier_that_was_not_measured_is_named(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    with pytest.raises(click.ClickException, match=r"nothing of lint, .*make costs"):
        write_table(tmp_path, page)
    assert page.read_text() == PAGE


def test_make_looks_for_tests_where_it_is_said_that_they_are() -> None:
    make = ["make", "--dry-run", "unit"]
    root = Path(__file__).parents[1]
    said = subprocess.run(make, cwd=root, capture_output=True, text=True, check=True).stdout
    unit, account = re.findall(r"tests\.tiers run .*", said.replace("\\\n", ""))
    assert set(re.findall(r"--ignore=tests/(\S+)", unit)) == set(NO_UNIT)
    assert set(re.findall(r" tests/(\S+)", account)) == set(ON_ACCOUNT)


@pytest.mark.parametrize(
    ("file", "markers", "lost"),
    [
        ("faults/test_new.py", {"parametrize"}, True),
        ("faults/test_new.py", {"e2e"}, False),
        ("runtime/test_new.py", {"account"}, True),
        ("runtime/test_new.py", set(), False),
        ("localaws/ecs/test_new.py", {"account"}, False),
    ],
)
def test_a_test_that_no_tier_would_run_is_seen(file: str, markers: set[str], lost: bool) -> None:
    assert in_no_tier(file, markers) is lost
