"""The toggle and the deployment's slots: it shows at once what holds, and decides nothing."""

from __future__ import annotations

import pytest

from localaws.faults import Delay
from tests.browser.conftest import NewPerson
from tests.browser.person import Person, expect, is_launch, run_id
from tests.browser.test_launchpad import assert_not_isolated
from tests.e2e.dagster_deployment import ON, DagsterDeployment

pytestmark = pytest.mark.browser

SLOTS = "**/run_isolation/slots?**"

DISABLED = "Non-isolated runs are disabled in this deployment's settings."
BACK_WITHIN_MILLISECONDS = 3000


def test_disabled_there_is_no_toggle_and_pulumi_up_shows_without_a_reload(
    deployment: DagsterDeployment, person: Person
) -> None:
    deployment.up({})
    with person.page.expect_response("**/run_isolation/slots?**") as answered:
        person.opens_launchpad()
    assert answered.value.json() == {"state": "absent"}
    expect(person.toggle).to_have_count(0)
    expect(person.banner).to_have_count(0)

    deployment.up(ON)
    expect(person.toggle).to_be_checked(timeout=BACK_WITHIN_MILLISECONDS)
    person.chooses(isolate=False)
    deployment.up({})
    expect(person.toggle).to_have_count(0, timeout=BACK_WITHIN_MILLISECONDS)
    # What was chosen before does not count for what is not there.
    run = deployment.run(person.launches())
    assert (run.kind, run.reason) == ("isolated", "Isolated is the default.")


def test_at_the_limit_it_says_who_holds_the_slot_and_comes_back_by_itself(
    deployment: DagsterDeployment, person: Person
) -> None:
    person.opens_launchpad()
    person.chooses(isolate=False)
    holder = deployment.launch()
    expect(person.toggle).to_be_disabled()
    expect(person.toggle).to_be_checked()
    expect(person.lines).to_contain_text(
        f"No slot is free: held by run {holder.id[:8]} of probe since "
    )
    expect(person.toggle).to_have_accessible_description(person.lines.inner_text())
    link = person.lines.get_by_role("link")
    assert link.get_attribute("href") == f"/runs/{holder.id}"
    with person.page.expect_popup() as opened:
        link.click()
    expect(opened.value.get_by_text("This run is non-isolated.").first).to_be_visible()
    opened.value.close()
    person.page.bring_to_front()

    isolated = deployment.run(person.launches())
    assert isolated.reason == "Isolated is the default."
    person.page.go_back()
    expect(person.toggle).to_be_disabled()

    holder.go()
    deployment.wait_for_free_slots()
    expect(person.toggle).to_be_enabled(timeout=BACK_WITHIN_MILLISECONDS)
    expect(person.toggle).not_to_be_checked()
    expect(person.lines).not_to_contain_text("No slot is free")


def test_of_two_browsers_that_race_for_one_slot_one_gets_it(
    deployment: DagsterDeployment, new_person: NewPerson
) -> None:
    works = deployment.work(), deployment.work()
    first, second = new_person(), new_person()
    for racer, work in zip((first, second), works, strict=True):
        racer.opens_launchpad(work=work)
        racer.chooses(isolate=False)
        # Neither sees that the other was quicker: the coordinator decides, not the page.
        racer.page.route(SLOTS, lambda route: route.fulfill(json={"state": "free"}))
    with (
        first.page.expect_response(is_launch) as one,
        second.page.expect_response(is_launch) as two,
    ):
        first.launch_button.click(no_wait_after=True)
        second.launch_button.click(no_wait_after=True)
    answers = one.value.json(), two.value.json()
    runs = [deployment.run(run_id(a), work) for a, work in zip(answers, works, strict=True)]

    [winner] = [run for run in runs if run.kind == "non-isolated"]
    [loser] = [run for run in runs if run is not winner]
    assert_not_isolated(deployment, winner)
    assert loser.kind == "isolated"
    assert loser.reason.startswith(f"No slot was free: 1 of 1 held, by run {winner.id} of probe")
    assert loser.wait_for_place()["isolated_attempt"] == "1"
    page = first if runs[0] is loser else second
    expect(page.page.get_by_text("This run is isolated. No slot was free").first).to_be_visible()


def test_a_page_that_is_out_of_date_changes_nothing(
    deployment: DagsterDeployment, person: Person
) -> None:
    """As a forged one: what it may be told is that a slot is free, for ever."""
    person.page.route(SLOTS, lambda route: route.fulfill(json={"state": "free"}))
    person.opens_launchpad()
    person.chooses(isolate=False)
    deployment.up({})
    run = deployment.run(person.launches())
    assert (run.kind, run.reason) == ("isolated", DISABLED)
    assert run.tags["dagster/isolation"] == "disabled"


def test_while_the_slot_table_does_not_answer_runs_are_isolated(
    deployment: DagsterDeployment, person: Person
) -> None:
    person.opens_launchpad()
    person.chooses(isolate=False)
    slow = Delay(service="dynamodb", operation="GetItem", seconds=5, times=None)
    deployment.account.faults.add(slow)
    try:
        expect(person.lines).to_contain_text("Whether a slot is free is not known just now.")
        expect(person.toggle).to_be_disabled()
        expect(person.toggle).to_be_checked()
        # The rest of the page is as quick as ever.
        person.page.get_by_text("+ Add...").click()
        expect(person.page.get_by_text("New Run", exact=True)).to_have_count(2)
    finally:
        deployment.account.faults.clear()
    expect(person.toggle).to_be_enabled()
    expect(person.toggle).not_to_be_checked()
