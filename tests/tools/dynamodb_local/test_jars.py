"""The jars are fetched once, whole or not at all, and what is missing is said."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tools.dynamodb_local.jars import UnavailableError, ensure_jars

MAVEN = """#!/bin/sh
echo called >> "$CALLS"
for argument in "$@"; do
  case $argument in -DoutputDirectory=*) touch "${argument#*=}/DynamoDBLocal.jar" ;; esac
done
exit $STATUS
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own, and a Maven that notes its calls in this file."""
    bin_directory = tmp_path / "bin"
    bin_directory.mkdir()
    (bin_directory / "mvn").write_text(MAVEN)
    (bin_directory / "mvn").chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_directory}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("STATUS", "0")
    return tmp_path / "calls"


def test_many_at_once_fetch_once(calls: Path) -> None:
    with ThreadPoolExecutor() as pool:
        homes = {each.result() for each in [pool.submit(ensure_jars) for _ in range(4)]}
    [home] = homes
    assert [path.name for path in home.iterdir()] == ["DynamoDBLocal.jar"]
    assert calls.read_text().splitlines() == ["called"]


def test_a_fetch_that_failed_leaves_nothing_and_is_tried_again(
    calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATUS", "1")
    with pytest.raises(UnavailableError, match="copy-dependencies"):
        ensure_jars()
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.suffix == ".jar"]
    monkeypatch.setenv("STATUS", "0")
    assert (ensure_jars() / "DynamoDBLocal.jar").exists()


def test_without_maven_it_says_how_to_get_it(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UnavailableError, match="Install Maven"):
        ensure_jars()
