"""Both servers on the probe, side by side, for all tests here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.code_server.runs import Runs, new_home, runs_of
from tests.code_server.servers import DAGSTER, SPAWNING, WARM, Kind, serving

ROOT = Path(__file__).parents[2]
PROBE = ROOT / "tests" / "locations" / "probe"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what is marked `only_forked` where runs are spawned."""
    out = [one for one in items if one.get_closest_marker("only_forked") and _is_spawned(one)]
    config.hook.pytest_deselected(items=out)
    items[:] = [one for one in items if one not in out]


def _is_spawned(item: pytest.Item) -> bool:
    callspec = getattr(item, "callspec", None)
    return callspec is not None and SPAWNING in callspec.params.values()


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
