"""The calls that each launcher makes, in their order: what the benchmark counts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from bench.launch.contenders import (
    DagsterLauncher,
    Defaults,
    Ours,
    Pinned,
    dagster_launcher,
)
from bench.launch.place import Place, place

pytestmark = [pytest.mark.e2e, pytest.mark.filterwarnings("ignore")]

Kind = type[DagsterLauncher]


@pytest.fixture(scope="module")
def where(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with place(tmp_path_factory.mktemp("launch")) as opened:
        yield opened
        opened.stop_tasks()


@pytest.fixture(scope="module")
def launchers(where: Place) -> Iterator[dict[Kind, DagsterLauncher]]:
    """Each has launched once: task definitions are registered, and caches are full."""
    with ExitStack() as exits:
        kinds: list[Kind] = [Ours, Pinned, Defaults]
        made = {kind: exits.enter_context(dagster_launcher(kind, where)) for kind in kinds}
        where.reset()
        for launcher in made.values():
            launcher.launch()
        yield made


LOOKED_UP = [
    "ListSecrets",
    "DescribeTaskDefinition",
    "DescribeTaskDefinition",
    "DescribeTasks",
    "DescribeNetworkInterfaces",
]


@pytest.mark.parametrize(
    ("kind", "calls"),
    [(Ours, ["RunTask"]), (Pinned, ["RunTask"]), (Defaults, [*LOOKED_UP, "RunTask"])],
)
def test_calls_of_a_launch(
    where: Place, launchers: dict[Kind, DagsterLauncher], kind: Kind, calls: list[str]
) -> None:
    # Ours reads its manifest again every 15 s: not in a launch right after another one.
    launchers[kind].launch()
    where.reset()
    launchers[kind].launch()
    assert where.account.calls() == calls


@pytest.mark.parametrize(
    ("kind", "calls"),
    [
        (Ours, ["StopTask"]),
        (Pinned, ["DescribeTasks", "StopTask"]),
        (Defaults, ["DescribeTasks", "StopTask"]),
    ],
)
def test_calls_of_a_cancel(
    where: Place, launchers: dict[Kind, DagsterLauncher], kind: Kind, calls: list[str]
) -> None:
    launchers[kind].launch()
    where.reset()
    launchers[kind].terminate()
    assert where.account.calls() == calls


@pytest.mark.parametrize(
    ("kind", "calls"),
    [
        (Ours, 1),
        (Pinned, 3),
    ],
)
def test_calls_of_a_round_of_the_monitor(
    launchers: dict[Kind, DagsterLauncher], kind: Kind, calls: int
) -> None:
    assert launchers[kind].look_after(3) == calls
