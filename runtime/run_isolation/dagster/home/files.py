"""Reads and writes the files of a Dagster home."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from run_isolation.default_instance import Config

LAST: Final = "run-isolation.yaml"
"""Beside ``dagster.yaml``: what was written into it the last time, and of which version."""


class HomeConflictError(Exception):
    """A file in the Dagster home says something that only its owner may change."""


@dataclass(frozen=True)
class Written:
    """What became of one file."""

    path: Path
    changed: bool
    told: tuple[str, ...] = ()
    """What its owner has to know, as sentences."""


def read_file(path: Path) -> Config:
    """What a file says; nothing where there is none.

    Raises:
        HomeConflictError: It is not a mapping.
    """
    if not path.exists():
        return {}
    content = yaml.safe_load(path.read_text())
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise HomeConflictError(
            f"{path} holds a {type(content).__name__}, not a mapping. Mend or remove it."
        )
    return content


def version_of(directory: Path) -> str | None:
    """Version of the instance that a home was written from; None where that is not known."""
    try:
        return read_file(directory / LAST).get("version")
    except (HomeConflictError, OSError):
        return None


def written(path: Path, old: Config, new: Config, told: tuple[str, ...] = ()) -> Written:
    """Writes a file unless it says the same already."""
    if old == new and path.exists():
        return Written(path, changed=False, told=told)
    replace_file(path, new)
    return Written(path, changed=True, told=told)


def replace_file(path: Path, content: Mapping[str, Any]) -> None:
    """Writes a file in one step, so that no process ever reads half of it."""
    with tempfile.NamedTemporaryFile(
        "w", dir=path.parent, prefix=f".{path.name}.", delete=False
    ) as temporary:
        yaml.safe_dump(dict(content), temporary, sort_keys=False)
    mode = path.stat().st_mode if path.exists() else 0o644
    os.chmod(temporary.name, mode)
    os.replace(temporary.name, path)
