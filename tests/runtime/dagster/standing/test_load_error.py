"""A location that can't be loaded: its log ends with what went wrong in it, and nothing of ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BROKEN = """def connect():
    raise ValueError("no such table")

connect()
"""


@pytest.mark.parametrize(
    ("source", "warm", "error", "frames"),
    [
        (BROKEN, "--warm-start", "ValueError: no such table", ["<module>", "connect"]),
        ("import nump", "--no-warm-start", "ModuleNotFoundError: No module named", ["<module>"]),
        ("def f(:", "--no-warm-start", "SyntaxError: ", []),
    ],
    ids=["an exception", "a missing module", "a syntax error"],
)
def test_the_error_and_the_frames_of_user_code(
    tmp_path: Path, source: str, warm: str, error: str, frames: list[str]
) -> None:
    (tmp_path / "defs.py").write_text(source)
    ended = subprocess.run(
        [
            *(Path(sys.executable).with_name("run-isolation"), "code-server", "--port", "1", warm),
            *("--python-file", str(tmp_path / "defs.py"), "--location-name", "defs"),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert error in ended.stderr
    assert "The code location can't be loaded." in ended.stderr
    traceback = [line for line in ended.stderr.splitlines() if line.startswith('  File "')]
    found = [line.rpartition(" in ")[2] for line in traceback if " in " in line]
    assert found == frames
