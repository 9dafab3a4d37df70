"""The deployment's settings: their defaults, and that a change holds from the next launch on."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.e2e.dagster_deployment import LOCATIONS, ON, OTHER, PROBE, DagsterDeployment
from tests.e2e.runs import Run, code_server, process_of

pytestmark = [pytest.mark.e2e, pytest.mark.one_storage]

ONLY_THE_SETTINGS = {"aws:dynamodb/tableItem:TableItem::settings": ["update"]}
TWO = {"enabled": True, "max_concurrent_non_isolated_runs": 2}


def test_a_change_is_in_force_for_the_next_launch_and_nothing_is_restarted(
    deployment: DagsterDeployment,
) -> None:
    deployment.up({})
    processes = deployment.webserver.pid, deployment.daemon.pid, deployment.standing_task()

    assert_disabled(deployment.launch())

    assert changed_by_up(deployment, ON) == ONLY_THE_SETTINGS
    first = deployment.launch()
    server = code_server(process_of(first.wait_for_place()))
    assert first.kind == "non-isolated"
    # Two are too many: the limit is 1 where nothing else is said.
    second = deployment.launch()
    assert second.kind == "isolated"
    [holder] = deployment.holders
    assert f"run {first.id} of probe since {holder.since}" in second.reason
    assert "1 of 1" in second.reason

    assert changed_by_up(deployment, TWO) == ONLY_THE_SETTINGS
    third = deployment.launch()
    assert code_server(process_of(third.wait_for_place())) == server
    assert third.kind == "non-isolated"
    fourth = deployment.launch()
    assert fourth.kind == "isolated"
    assert first.id in fourth.reason
    assert third.id in fourth.reason

    # Lowered below what is in use, and off: who is going on goes on, and keeps its slot till then.
    assert changed_by_up(deployment, ON) == ONLY_THE_SETTINGS
    assert changed_by_up(deployment, {}) == ONLY_THE_SETTINGS
    assert_disabled(deployment.launch())
    assert {holder.run_id for holder in deployment.holders} == {first.id, third.id}
    first.finish()
    third.finish()
    deployment.wait_for_free_slots()

    assert deployment.webserver.alive
    assert deployment.daemon.alive
    assert processes == (
        deployment.webserver.pid,
        deployment.daemon.pid,
        deployment.standing_task(),
    )


def test_a_code_location_s_own_limit_is_in_force_for_the_next_launch(
    deployment: DagsterDeployment,
) -> None:
    deployment.up(TWO)
    standing = deployment.standing_task()
    own = {**LOCATIONS[PROBE], "max_concurrent_non_isolated_runs": 1}
    deployment.up(locations={**LOCATIONS, PROBE: own})
    assert deployment.standing_task() == standing

    first, second = deployment.launch(), deployment.launch()
    assert (first.kind, second.kind) == ("non-isolated", "isolated")
    assert second.reason.startswith(f"No slot of code location {PROBE} was free: 1 of 1 held")
    # The deployment's other slot is another code location's.
    third = deployment.launch(location=OTHER)
    assert third.kind == "non-isolated", third.reason

    second.cancel(force=True)
    first.finish()
    third.finish()
    deployment.wait_for_free_slots()
    deployment.up(locations=LOCATIONS)


def changed_by_up(
    deployment: DagsterDeployment, settings: Mapping[str, object]
) -> dict[str, list[str]]:
    """What `pulumi up` changes with these settings."""
    changes = deployment.up(settings)
    assert changes is not None, "the stack had these settings already"
    return changes.by_resource


def assert_disabled(run: Run) -> None:
    """The run asked and is isolated, because of the settings; then end it."""
    assert run.kind == "isolated"
    assert run.reason == "Non-isolated runs are disabled in this deployment's settings."
    assert f"This run is isolated. {run.reason}" in run.messages
    run.cancel(force=True)
