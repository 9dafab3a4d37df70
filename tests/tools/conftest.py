"""Programs that stand in for the ones outside: found on PATH, run as processes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.pulumi_cli import PulumiCli, ensure_pulumi

Program = Callable[[str, str], Path]


@pytest.fixture(scope="session")
def pulumi_cli() -> PulumiCli:
    """The real CLI."""
    return ensure_pulumi()


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Puts a shell script of a name on PATH, which has nothing but these and the system's tools."""
    directory = tmp_path / "programs"
    directory.mkdir()
    monkeypatch.setenv("PATH", os.pathsep.join([str(directory), "/usr/bin", "/bin"]))

    def write(name: str, script: str) -> Path:
        path = directory / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    return write
