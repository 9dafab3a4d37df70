"""Runs leave the same events behind, however their processes begin."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Final

import pytest
from dagster import DagsterEventType

from tests.code_server.runs import Runs, Sequence_, new_home, runs_of
from tests.code_server.servers import DAGSTER, SPAWNING, WARM, Kind, serving
from tests.parity.conftest import PROBE, ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

LOCATIONS: Final = {
    "sales": (ROOT / "examples" / "sales", "sales.definitions"),
    "research": (ROOT / "examples" / "research", "research.defs"),
    "probe": (PROBE, "probe.definitions"),
}
LIGHT: Final = {"seconds": 0.1, "memory_mib": 8}
WORK: Final = {"ops": {"work": {"config": {"fail": True}}}}

CASES: Final[list[tuple[str, str, dict[str, Any]]]] = [
    ("sales", "refresh_sales", {}),
    ("sales", "check_feed", {}),
    ("research", "train_model", {"ops": {"simulation": {"config": LIGHT}}}),
    ("research", "backtest", {"ops": {"best_strategy": {"config": LIGHT}}}),
    ("probe", "work_job", {}),
    ("probe", "work_job", WORK),
    ("probe", "steps_job", {}),
    ("probe", "steps_job", WORK),
    ("probe", "steps_job", {"ops": {"work": {"config": {"read_file": "files/rows.txt"}}}}),
    ("probe", "steps_job", {"execution": {"config": {"in_process": {}}}}),
    (
        "probe",
        "steps_job",
        {"execution": {"config": {"multiprocess": {"start_method": {"spawn": {}}}}}},
    ),
]
"""Location, job, run config."""


def by_step(sequence: Sequence_) -> dict[str | None, list[str]]:
    """Each step's events in their order; steps may go on beside each other.

    What a step's process and its parent tell of the process reaches the storage in either order.
    """
    steps = defaultdict(list)
    for kind, step in sequence:
        if not kind.startswith("STEP_WORKER"):
            steps[step].append(kind)
    return steps


@pytest.fixture(scope="module")
def servers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Kind, Runs]]:
    """The location that the case is about, in all three servers."""
    directory, module = LOCATIONS[request.param]
    place = tmp_path_factory.mktemp(request.param)
    with ExitStack() as exits:
        opened = {}
        for number, kind in enumerate((WARM, SPAWNING, DAGSTER)):
            home = new_home(place / f"home-{number}")
            server = exits.enter_context(
                serving(
                    kind,
                    directory,
                    ["-m", module],
                    place / f"server-{number}.log",
                    environment={"DAGSTER_HOME": str(home)},
                )
            )
            opened[kind] = exits.enter_context(runs_of(server, home))
        yield opened


@pytest.mark.parametrize(("servers", "job", "config"), CASES, indirect=["servers"])
def test_the_same_events_warm_spawned_and_in_dagster_s_server(
    servers: dict[Kind, Runs], job: str, config: dict[str, Any]
) -> None:
    ended = {kind: runs.execute(job, config) for kind, runs in servers.items()}
    seen = {kind: servers[kind].sequence(run) for kind, run in ended.items()}
    assert (DagsterEventType.RUN_START.value, None) in seen[DAGSTER]
    for kind in (WARM, SPAWNING):
        assert ended[kind].status is ended[DAGSTER].status, servers[kind].told(ended[kind])
        assert by_step(seen[kind]) == by_step(seen[DAGSTER]), kind.name
        assert sorted(seen[kind], key=str) == sorted(seen[DAGSTER], key=str), kind.name
