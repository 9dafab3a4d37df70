"""Assets, partitions and re-executions: where the toggle is, and that it is heard nowhere else."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator

from tests.browser.person import Person, expect
from tests.browser.test_launchpad import DEFAULT, FREE, assert_isolated, assert_not_isolated
from tests.e2e.dagster_deployment import PROBE, DagsterDeployment
from tests.e2e.runs import Run
from tests.waiting import eventually

pytestmark = pytest.mark.browser

ASSET = "/assets/upstream"
GROUP = f"/locations/{PROBE}/asset-groups/plain"


def materialize(person: Person, name: str = "Materialize") -> Locator:
    return person.page.get_by_role("button", name=name).first


def assert_launchpad_asks(deployment: DagsterDeployment, person: Person, assets: set[str]) -> None:
    """The open Launchpad of assets: both choices end where they should."""
    expect(person.launch_button).to_be_enabled()
    expect(person.toggle).to_be_checked()
    person.chooses(isolate=False)
    run = deployment.run(person.launches())
    assert_not_isolated(deployment, run)
    assert materialized(deployment, run) == assets


def materialized(deployment: DagsterDeployment, run: Run) -> set[str]:
    found = deployment.page.ask(
        """query Assets($runId: ID!) {
          runOrError(runId: $runId) { ... on Run { assetSelection { path } } }
        }""",
        runId=run.id,
    )
    return {"/".join(key["path"]) for key in found["runOrError"]["assetSelection"]}


def decided(run: Run) -> str:
    return eventually(lambda: run.kind, "it is decided")


def test_one_asset_by_shift_click(deployment: DagsterDeployment, person: Person) -> None:
    person.goes_to(ASSET)
    materialize(person).click(modifiers=["Shift"])
    assert_launchpad_asks(deployment, person, {"upstream"})


def test_all_assets_by_shift_click(deployment: DagsterDeployment, person: Person) -> None:
    person.goes_to(GROUP)
    materialize(person, "Materialize all").click(modifiers=["Shift"])
    assert_launchpad_asks(deployment, person, {"upstream", "automated"})


def test_selected_assets_by_shift_click(deployment: DagsterDeployment, person: Person) -> None:
    person.goes_to(GROUP)
    person.page.get_by_text("upstream", exact=True).first.click()
    materialize(person, "Materialize selected").click(modifiers=["Shift"])
    assert_launchpad_asks(deployment, person, {"upstream"})


def test_without_shift_it_is_isolated_whatever_was_chosen_last(
    deployment: DagsterDeployment, person: Person
) -> None:
    person.opens_launchpad()
    person.chooses(isolate=False)
    person.goes_to(ASSET)
    run = deployment.run(person.launches(materialize(person).click))
    assert_isolated(deployment, run)
    # And the Launchpad of the same assets starts with the last choice.
    materialize(person).click(modifiers=["Shift"])
    expect(person.launch_button).to_be_enabled()
    expect(person.toggle).not_to_be_checked()
    # It is closed, and with it the toggle.
    person.page.get_by_role("dialog").press("Escape")
    person.page.mouse.click(5, 5)
    expect(person.toggle).to_have_count(0)
    expect(person.banner).to_have_count(0)
    run = deployment.run(person.launches(materialize(person).click))
    assert_isolated(deployment, run)


def test_partitions_are_isolated_whatever_was_chosen_last(
    deployment: DagsterDeployment, person: Person
) -> None:
    person.opens_launchpad()
    person.chooses(isolate=False)
    person.goes_to("/assets/partitioned")
    materialize(person, "Materialize…").click()
    dialog = person.page.get_by_role("dialog")
    dialog.get_by_role("button", name="All", exact=True).click()
    launch = dialog.get_by_role("button", name="Launch")
    expect(launch.last).to_be_enabled()
    expect(person.toggle).to_have_count(0)
    before = set(deployment.page.run_ids())
    launch.last.click()
    new = eventually(lambda: set(deployment.page.run_ids()) - before, "a run of a partition")
    for run_id in new:
        run = deployment.run(run_id)
        assert decided(run) == "isolated"
        assert "dagster/isolation" not in run.tags


def test_a_re_execution_asks_as_its_parent_did(
    deployment: DagsterDeployment, person: Person
) -> None:
    parent = deployment.launch(held=False, fail=True)
    parent.wait_for("FAILURE")
    deployment.wait_for_free_slots()
    person.goes_to(f"/runs/{parent.id}")
    again = person.page.get_by_role("button", name="Re-execute")
    expect(again.first).to_be_enabled()
    expect(person.toggle).to_have_count(0)
    run = deployment.run(person.launches(again.first.click))
    assert (run.kind, run.reason) == ("non-isolated", FREE)


@pytest.mark.parametrize("which", ["All steps in root run", "Selected step", "From failure"])
def test_so_does_each_part_of_a_run_that_can_be_chosen(
    deployment: DagsterDeployment, person: Person, which: str
) -> None:
    parent = deployment.launch(held=False, fail=True)
    parent.wait_for("FAILURE")
    deployment.wait_for_free_slots()
    person.goes_to(f"/runs/{parent.id}")
    again = person.page.get_by_role("button", name="Re-execute")
    expect(again.first).to_be_enabled()
    person.page.get_by_text("work", exact=True).first.click()  # in the Gantt chart
    again.last.locator("xpath=following::button[1]").click()
    choice = person.page.get_by_role("menuitem", name=which)
    run = deployment.run(person.launches(choice.first.click))
    assert (run.kind, run.reason) == ("non-isolated", FREE)


def test_a_re_execution_of_an_isolated_run_is_isolated(
    deployment: DagsterDeployment, person: Person
) -> None:
    again = person.page.get_by_role("button", name="Re-execute")
    isolated = deployment.launch(held=False, fail=True, asked=False)
    isolated.wait_for("FAILURE")
    person.goes_to(f"/runs/{isolated.id}")
    expect(again.first).to_be_enabled()
    run = deployment.run(person.launches(again.first.click))
    assert (run.kind, run.reason) == ("isolated", DEFAULT)
