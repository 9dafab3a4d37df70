"""``python -m tests.wire``: records each format that differs from what was recorded last.

The file goes to the directory of the version in pyproject.toml. CONTRIBUTING.md says when a format
may change at all.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from tests.wire.formats import FORMATS, ours
from tests.wire.recorded import ROOT, as_text, newest, parsed

PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def main() -> None:
    """Records."""
    directory = ROOT / tomllib.loads(PROJECT.read_text())["project"]["version"]
    for name, write in FORMATS.items():
        value, last = write(), newest(name)
        if last is not None and ours(name, parsed(last)) == ours(name, value):
            continue
        file = directory / name
        directory.mkdir(parents=True, exist_ok=True)
        file.write_text(as_text(name, value))
        print(f"{file.relative_to(ROOT)}: {'recorded' if last is None else 'changed'}")


if __name__ == "__main__":
    main()
