"""What a test run says about its time."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

DEAR = """
    import subprocess, sys

    BURN = "import time\\nwhile time.process_time() < 1.2: pass"

    def test_in_a_process_of_its_own():
        subprocess.run([sys.executable, "-c", BURN], check=True)
"""
CHEAP = "def test_nothing():\n    pass\n"


@pytest.mark.parametrize(
    "options", [[], ["-p", "xdist", "-n", "1"]], ids=["alone", "with a worker"]
)
def test_a_file_pays_for_the_processes_that_it_starts(tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "test_dear.py").write_text(textwrap.dedent(DEAR))
    (tmp_path / "test_cheap.py").write_text(CHEAP)
    command = [sys.executable, "-m", "pytest", "-p", "tests.costs", "-p", "no:cacheprovider"]
    run = subprocess.run(
        [*command, *options, str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    _, _, shown = run.stdout.partition("seconds by file: wall, CPU")
    dear, total, *_ = [line.split() for line in shown.splitlines()[1:] if line]
    assert dear[2] == "test_dear.py"
    assert float(dear[1]) >= 1.0
    assert total[2:] == ["all", "2", "files"]
