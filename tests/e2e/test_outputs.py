"""Values that the default I/O manager hands on: a container has a disk of its own."""

from __future__ import annotations

from random import randrange
from typing import Any
from uuid import uuid4

import pytest

from run_isolation import tag_names
from tests.e2e.dagster_deployment import ON, PROBE, DagsterDeployment
from tests.e2e.runs import NON_ISOLATED, Run

pytestmark = [pytest.mark.e2e, pytest.mark.one_storage]

KINDS = {"non-isolated": NON_ISOLATED, "isolated": {}}
PAIRS = [(first, then) for first in KINDS for then in KINDS]


def ended(deployment: DagsterDeployment, run_id: str, kind: str) -> Run:
    """A run of a kind, once it is over and its slot is free."""
    run = deployment.run(run_id)
    run.wait_for("SUCCESS", "FAILURE")
    assert run.kind == kind, run.reason
    deployment.wait_for_free_slots()
    return run


def execute(deployment: DagsterDeployment, job: str, kind: str, **ops: Any) -> Run:
    """Execute a job as a run of a kind."""
    config = {"ops": {op: {"config": given} for op, given in ops.items()}}
    launched = deployment.page.launch(job, location=PROBE, tags=KINDS[kind], config=config)
    return ended(deployment, launched, kind)


def started(deployment: DagsterDeployment, run: Run) -> list[str]:
    """Steps that a run has begun to execute, in order."""
    events = deployment.page.events(run.id)
    return [text.split('"')[1] for kind, text in events if kind == "STEP_START"]


@pytest.mark.parametrize("kind", KINDS)
def test_between_steps_of_a_run(deployment: DagsterDeployment, kind: str) -> None:
    deployment.up(ON)
    run = execute(deployment, "hand_over_job", kind)
    assert run.status == "SUCCESS", run.messages


@pytest.mark.parametrize(("first", "then"), PAIRS)
def test_between_runs(deployment: DagsterDeployment, first: str, then: str) -> None:
    deployment.up(ON)
    handed = {"number": randrange(10**9)}
    made = execute(deployment, "numbers_job", first, numbers=handed)
    assert made.status == "SUCCESS", made.messages
    taken = execute(deployment, "doubled_job", then, doubled=handed)
    assert taken.status == "SUCCESS", taken.messages


@pytest.mark.parametrize(("first", "then"), PAIRS)
def test_a_retry_from_failure(deployment: DagsterDeployment, first: str, then: str) -> None:
    deployment.up(ON)
    in_time = deployment.work_directory / uuid4().hex
    failed = execute(deployment, "too_early_job", first, take_in_time={"exists": str(in_time)})
    assert failed.status == "FAILURE"
    assert started(deployment, failed) == ["give", "take_in_time"]
    in_time.touch()
    # Else it asks what its parent asked.
    tags = KINDS[then] or {tag_names.ISOLATION: "enabled"}
    again = deployment.page.reexecute(failed.id, tags, strategy="FROM_FAILURE")
    run = ended(deployment, again, then)
    assert run.status == "SUCCESS", run.messages
    assert started(deployment, run) == ["take_in_time"]
