"""Values that the default I/O manager hands on: a container has a disk of its own."""

from __future__ import annotations

from collections.abc import Mapping
from random import randrange
from typing import Any
from uuid import uuid4

import pytest

from tests.e2e.dagster_deployment import OTHER, PROBE, DagsterDeployment
from tests.e2e.kinds import KINDS, Kind
from tests.e2e.runs import Run

pytestmark = [pytest.mark.e2e, pytest.mark.one_storage]

MANY = {"enabled": True, "max_concurrent_non_isolated_runs": 10}
NUMBERS = {PROBE: "numbers", OTHER: "other_numbers"}
"""By code location: its asset that hands over a number."""
DOUBLED = {
    (PROBE, PROBE): "doubled",
    (OTHER, PROBE): "doubled_of_other",
    (PROBE, OTHER): "other_doubled_of_probe",
    (OTHER, OTHER): "other_doubled",
}
"""By the code location that has made the number: the asset that is made of it in another one."""
HERE: Mapping[str, Any] = {"execution": {"config": {"in_process": {}}}}
"""No more processes than the run's own: what steps do among each other has a test of its own."""


def launch(
    deployment: DagsterDeployment,
    job: str,
    kind: Kind,
    *,
    assets: tuple[str, ...] = (),
    config: Mapping[str, Any] | None = None,
) -> Run:
    """Launch a job as a run of a kind."""
    launched = deployment.page.launch(
        job, location=kind.location, assets=assets, tags=kind.tags, config=config
    )
    return deployment.run(launched)


def materialize(deployment: DagsterDeployment, asset: str, kind: Kind, number: int) -> Run:
    """The same for an asset that is handed over."""
    config = {"ops": {asset: {"config": {"number": number}}}, **HERE}
    return launch(deployment, "__ASSET_JOB", kind, assets=(asset,), config=config)


def started(deployment: DagsterDeployment, run: Run) -> list[str]:
    """Steps that a run has begun to execute, in order."""
    events = deployment.page.events(run.id)
    return [text.split('"')[1] for kind, text in events if kind == "STEP_START"]


def test_between_steps_of_a_run(deployment: DagsterDeployment) -> None:
    deployment.up(MANY)
    runs = [(launch(deployment, "hand_over_job", kind), kind) for kind in KINDS.values()]
    for run, kind in runs:
        run.wait_for("SUCCESS")
        kind.check(run)


@pytest.mark.parametrize("first", KINDS)
def test_between_runs(deployment: DagsterDeployment, first: str) -> None:
    """From one run to one of each kind."""
    deployment.up(MANY)
    number, kind = randrange(10**9), KINDS[first]
    made = materialize(deployment, NUMBERS[kind.location], kind, number)
    made.wait_for("SUCCESS")
    kind.check(made)
    taken = [
        (materialize(deployment, DOUBLED[kind.location, then.location], then, number), then)
        for then in KINDS.values()
    ]
    for run, then in taken:
        run.wait_for("SUCCESS")
        then.check(run)


@pytest.mark.parametrize("location", [PROBE, OTHER], ids=["warm", "spawned"])
def test_a_retry_from_failure(deployment: DagsterDeployment, location: str) -> None:
    """From either kind of run of a code location to either."""
    deployment.up(MANY)
    kinds = [Kind(location, asked=True), Kind(location, asked=False)]
    in_time = deployment.work_directory / uuid4().hex
    config = {"ops": {"take_in_time": {"config": {"exists": str(in_time)}}}, **HERE}
    failed = [(launch(deployment, "too_early_job", kind, config=config), kind) for kind in kinds]
    for run, kind in failed:
        run.wait_for("FAILURE")
        kind.check(run)
        assert started(deployment, run) == ["give", "take_in_time"]
    in_time.touch()
    again = [
        (deployment.page.reexecute(run.id, then.tags, strategy="FROM_FAILURE"), then)
        for run, _ in failed
        for then in kinds
    ]
    for run_id, then in again:
        run = deployment.run(run_id)
        run.wait_for("SUCCESS")
        then.check(run)
        assert started(deployment, run) == ["take_in_time"]
