"""Both servers on the probe, side by side, for all tests here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.code_server.runs import Runs, new_home, runs_of
from tests.code_server.servers import DAGSTER, WARM, Kind, serving

ROOT = Path(__file__).parents[2]
PROBE = ROOT / "tests" / "locations" / "probe"


@dataclass(frozen=True)
class Pair:
    """The same location in two servers."""

    ours: Runs
    dagster: Runs


@contextmanager
def side_by_side(
    directory: Path, target: list[str], place: Path, kinds: tuple[Kind, Kind] = (WARM, DAGSTER)
) -> Iterator[list[Runs]]:
    """One location in servers of two kinds, each with a home of its own."""
    with ExitStack() as exits:
        pair = []
        for number, kind in enumerate(kinds):
            home = new_home(place / f"home-{number}")
            server = exits.enter_context(
                serving(
                    kind,
                    directory,
                    target,
                    place / f"server-{number}.log",
                    environment={"DAGSTER_HOME": str(home)},
                )
            )
            pair.append(exits.enter_context(runs_of(server, home)))
        yield pair


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    place = tmp_path_factory.mktemp("parity")
    with side_by_side(PROBE, ["-m", "probe.definitions"], place) as (ours, dagster):
        yield Pair(ours, dagster)
