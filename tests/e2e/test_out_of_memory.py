"""Out of memory in a standing container becomes a slower success."""

from __future__ import annotations

import pytest

from localaws.ecs.cgroups import limits_or_none
from run_isolation import tag_names
from run_isolation.dagster.memory.reexecution import again_id
from tests.e2e.dagster_deployment import ON, PROBE, STANDING, DagsterDeployment
from tests.e2e.runs import NON_ISOLATED
from tests.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.one_storage]


@pytest.fixture(autouse=True)
def limits() -> None:
    said: list[str] = []
    if limits_or_none(said.append) is None:
        pytest.skip(said[0])


def test_it_is_executed_again_isolated_and_finished_steps_are_not(
    deployment: DagsterDeployment,
) -> None:
    deployment.up(ON)
    ledger = deployment.work_directory / "ledger-of-memory"
    ledger.unlink(missing_ok=True)
    work = deployment.work(held=False, append_to=str(ledger))
    config = work.config()
    # Fits into the isolated task only, and begins when the other step is over.
    greedy = {"wait_for": str(work.go), "take_mib": STANDING["memory"] - 200}
    config["ops"]["more_work"] = {"config": greedy}
    run_id = deployment.page.launch("steps_job", location=PROBE, tags=NON_ISOLATED, config=config)
    run = deployment.run(run_id, work)
    eventually(
        lambda: "STEP_SUCCESS" in [kind for kind, _ in deployment.page.events(run_id)],
        lambda: f"the first step has ended: {run.messages}",
    )
    run.go()
    run.wait_for("FAILURE", seconds=120)
    assert any("for want of memory" in message for message in run.messages), run.messages
    new = deployment.run(again_id(run.id))
    eventually(lambda: run.tags[tag_names.AGAIN] == new.id, lambda: deployment.daemon.said())
    new.wait_for("SUCCESS", seconds=180)
    assert (run.kind, new.kind) == ("non-isolated", "isolated")
    assert new.tags["dagster/parent_run_id"] == run.id
    assert run.id in new.reason
    assert any(new.id in message for message in run.messages)
    assert any(run.id in message for message in new.messages)
    begun = [line for line in ledger.read_text().splitlines() if line.startswith("began")]
    assert [line.split()[1] for line in begun] == [run.id], "the finished step is kept"
    assert deployment.page.run_ids(**{"dagster/parent_run_id": run.id}) == [new.id]
    assert int(new.tags[tag_names.PEAK_MIB]) > STANDING["memory"] - 200
    assert float(new.tags[tag_names.CPU_SECONDS]) > 0
    assert float(new.tags[tag_names.START_LATENCY_SECONDS]) > 0
    deployment.wait_for_free_slots()
