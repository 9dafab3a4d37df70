"""The commands behind the Makefile's targets, where nothing runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from filelock import FileLock

from tools.local import __main__ as commands
from tools.local.errors import ExitCode
from tools.local.files import LocalFiles


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalFiles:
    files = LocalFiles(tmp_path / "local")
    monkeypatch.setattr(commands, "FILES", files)
    return files


def test_down_has_nothing_to_stop(files: LocalFiles) -> None:
    result = CliRunner().invoke(commands.main, ["down"])
    assert (result.exit_code, "Nothing to stop" in result.output) == (ExitCode.DONE, True)


def test_env_says_what_is_missing(files: LocalFiles) -> None:
    result = CliRunner().invoke(commands.main, ["env"])
    assert (result.exit_code, "make up" in result.output) == (ExitCode.NOT_RUNNING, True)


@pytest.mark.parametrize("command", ["up", "down"])
def test_only_one_at_a_time(files: LocalFiles, command: str) -> None:
    files.directory.mkdir()
    with FileLock(files.lock):
        result = CliRunner().invoke(commands.main, [command])
    assert result.exit_code == ExitCode.BUSY
    assert str(files.lock) in result.output
