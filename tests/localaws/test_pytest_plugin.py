"""The fixtures, in a test session of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SESSION = """
import boto3

pytest_plugins = ["localaws.pytest_plugin"]

def test_first(local_account, local_image_root):
    (local_image_root / "mine").mkdir()
    local_account.client("sts").get_caller_identity()
    assert len(local_account.calls.all()) == 1

def test_second_shares_the_account_but_not_the_calls(local_environment):
    assert local_environment.calls.all() == []
    assert boto3.client("sts").get_caller_identity()["Account"] == "000000000000"
"""


def test_fixtures(tmp_path: Path) -> None:
    (tmp_path / "test_user.py").write_text(SESSION)
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=tmp_path)
    assert "2 passed" in done.stdout, done.stdout + done.stderr
