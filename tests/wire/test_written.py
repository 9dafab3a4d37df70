"""What the code writes today is what was recorded last: a change of a format is a change of a file.

Where a change is meant, CONTRIBUTING.md ("Formats on the wire") says how it may be made.
"""

from __future__ import annotations

import pytest

from tests.wire.formats import FORMATS, ours
from tests.wire.recorded import ROOT, newest, parsed


@pytest.mark.parametrize("name", FORMATS)
def test_it_is_what_was_recorded(name: str) -> None:
    file = newest(name)
    assert file is not None, f"{name} is not recorded: python -m tests.wire"
    assert ours(name, FORMATS[name]()) == ours(name, parsed(file))


def test_nothing_is_recorded_that_is_not_written() -> None:
    """A format that was given up keeps its reader, and its tests, for what is out there."""
    assert {file.name for file in ROOT.glob("*/*")} == set(FORMATS)
