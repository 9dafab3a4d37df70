"""Formats as they were recorded: a directory for each version that has changed any of them.

`0.1.0.dev0` is what was out there before the first release. A format that a version has not changed
has no file in its directory.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from packaging.version import Version

ROOT: Final = Path(__file__).with_name("recorded")


def every(name: str) -> list[Path]:
    """All recorded files of a format, the oldest first."""
    return sorted(ROOT.glob(f"*/{name}"), key=lambda file: Version(file.parent.name))


def newest(name: str) -> Path | None:
    """The last recorded file of a format."""
    return next(reversed(every(name)), None)


def parsed(file: Path) -> Any:
    """What a recorded file says."""
    text = file.read_text()
    return yaml.safe_load(text) if file.suffix == ".yaml" else json.loads(text)


def as_text(name: str, value: Any) -> str:
    """A format's value as it is recorded: legible, and the same for the same value."""
    if name.endswith(".yaml"):
        return str(yaml.safe_dump(value, sort_keys=False))
    return json.dumps(value, indent=2, sort_keys=True) + "\n"


def each(name: str) -> pytest.MarkDecorator:
    """Runs a test with each recorded file of a format, as ``file``."""
    files = every(name)
    return pytest.mark.parametrize("file", files, ids=[file.parent.name for file in files])
