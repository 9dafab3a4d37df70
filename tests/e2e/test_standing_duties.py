"""What else the standing container does while a run is going on in it."""

from __future__ import annotations

import time
from functools import partial

import pytest

from tests.e2e.dagster_deployment import ON, PROBE, DagsterDeployment
from tests.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.one_storage]

TICKS = """
query Ticks($selector: %sSelector!) {
  found: %sOrError(%sSelector: $selector) {
    ... on %s { state: %sState { ticks(limit: 5) { timestamp status } } }
  }
}"""


def ticks_since(deployment: DagsterDeployment, kind: str, name: str, since: float) -> list[str]:
    """The outcomes of a schedule's or a sensor's ticks since then."""
    selector = {
        "repositoryLocationName": PROBE,
        "repositoryName": "__repository__",
        f"{kind}Name": name,
    }
    query = TICKS % (kind.capitalize(), kind, kind, kind.capitalize(), kind)
    ticks = deployment.page.ask(query, selector=selector)["found"]["state"]["ticks"]
    done = [tick for tick in ticks if tick["status"] != "STARTED"]
    return [tick["status"] for tick in done if tick["timestamp"] >= since]


def test_sensors_and_schedules_tick_while_a_non_isolated_run_is_going(
    deployment: DagsterDeployment,
) -> None:
    deployment.up(ON)
    run = deployment.launch()
    assert run.wait_for_place()["task_arn"] == deployment.standing_task()
    since = time.time()
    duties = [("sensor", "requests_a_run"), ("schedule", "every_minute")]
    for kind, name in duties:
        deployment.page.switch(kind, name, location=PROBE, on=True)
    try:
        for kind, name in duties:
            outcomes = eventually(
                partial(ticks_since, deployment, kind, name, since),
                f"{kind} {name} ticks",
                90,
            )
            assert set(outcomes) <= {"SUCCESS", "SKIPPED"}
    finally:
        for kind, name in duties:
            deployment.page.switch(kind, name, location=PROBE, on=False)
            for run_id in deployment.page.run_ids(**{f"dagster/{kind}_name": name}):
                deployment.run(run_id)
    assert run.status == "STARTED"
    run.finish()
