"""Values that the default I/O manager hands on: a container has a disk of its own."""

from __future__ import annotations

from random import randrange
from typing import Any

import pytest

from tests.e2e.dagster_deployment import ON, PROBE, DagsterDeployment
from tests.e2e.runs import NON_ISOLATED

pytestmark = [pytest.mark.e2e, pytest.mark.one_storage]

KINDS = {"non-isolated": NON_ISOLATED, "isolated": {}}
ACROSS = pytest.mark.xfail(
    reason="the default I/O manager writes to the disk of one container", strict=True
)


def execute(deployment: DagsterDeployment, job: str, kind: str, **ops: Any) -> str:
    """Execute a job as a run of a kind; how it ended."""
    config = {"ops": {op: {"config": given} for op, given in ops.items()}}
    launched = deployment.page.launch(job, location=PROBE, tags=KINDS[kind], config=config)
    run = deployment.run(launched)
    status = run.wait_for("SUCCESS", "FAILURE")
    assert run.kind == kind, run.reason
    deployment.wait_for_free_slots()
    return status


@pytest.mark.parametrize("kind", KINDS)
def test_between_steps_of_a_run(deployment: DagsterDeployment, kind: str) -> None:
    deployment.up(ON)
    assert execute(deployment, "hand_over_job", kind) == "SUCCESS"


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("non-isolated", "non-isolated"),
        pytest.param("non-isolated", "isolated", marks=ACROSS),
        pytest.param("isolated", "non-isolated", marks=ACROSS),
        pytest.param("isolated", "isolated", marks=ACROSS),
    ],
)
def test_between_runs(deployment: DagsterDeployment, first: str, then: str) -> None:
    deployment.up(ON)
    handed = {"number": randrange(10**9)}
    assert execute(deployment, "numbers_job", first, numbers=handed) == "SUCCESS"
    assert execute(deployment, "doubled_job", then, doubled=handed) == "SUCCESS"
