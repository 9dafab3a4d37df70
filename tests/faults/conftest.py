"""One account, and in it each launcher with its daemon, for all tests here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.theatre import Theatre, theatre


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theatre]:
    with theatre(tmp_path_factory.mktemp("faults"), quick=True) as opened:
        yield opened
