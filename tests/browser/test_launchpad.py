"""The toggle in a job's Launchpad."""

from __future__ import annotations

import re

import pytest

from tests.browser.conftest import NewPerson
from tests.browser.person import Person, expect
from tests.e2e.dagster_deployment import OTHER, PROBE, DagsterDeployment
from tests.e2e.runs import Run

pytestmark = pytest.mark.browser

DEFAULT = "Isolated is the default."
FREE = "Asked for by tag dagster/isolation=disabled, and a slot was free."


def assert_isolated(deployment: DagsterDeployment, run: Run, reason: str = DEFAULT) -> None:
    """On the AWS side: it has a task of its own."""
    assert (run.kind, run.reason) == ("isolated", reason)
    if run.work is not None:
        assert run.wait_for_place()["isolated_attempt"] == "1"
        assert run.task in deployment.isolated_tasks()


def assert_not_isolated(deployment: DagsterDeployment, run: Run, location: str = PROBE) -> None:
    """On the AWS side: no task was started for it, it is in the standing one."""
    assert (run.kind, run.reason) == ("non-isolated", FREE)
    assert run.task == deployment.standing_task(location)
    if run.work is not None:
        assert run.wait_for_place()["task_arn"] == run.task
    assert not [call for call in deployment.run_task_calls() if run.id in str(call.params)]


def test_it_is_checked_and_the_run_isolated(deployment: DagsterDeployment, person: Person) -> None:
    work = deployment.work(held=False)
    person.opens_launchpad(work=work)
    expect(person.toggle).to_be_checked()
    run = deployment.run(person.launches(), work)
    assert_isolated(deployment, run)
    assert "dagster/isolation" not in run.tags


def test_unchecked_the_run_asks_and_its_page_says_what_it_became(
    deployment: DagsterDeployment, person: Person
) -> None:
    work = deployment.work(held=False)
    person.opens_launchpad(work=work)
    person.chooses(isolate=False)
    run = deployment.run(person.launches(), work)
    assert_not_isolated(deployment, run)

    person.page.wait_for_url(f"**/runs/{run.id}**")
    # By Dagster's own means: an event, and tags.
    expect(person.page.get_by_text(f"This run is non-isolated. {FREE}").first).to_be_visible()
    shown = person.reads_tags()
    assert "isolation: disabled" in shown
    assert "run_isolation/kind: non-isolated" in shown
    assert f"run_isolation/reason: {FREE}" in shown
    assert not person.problems


def test_a_dialog_after_the_launch_is_no_launchpad_without_its_button(
    deployment: DagsterDeployment, person: Person
) -> None:
    person.page.clock.install()
    work = deployment.work(held=False)
    person.opens_launchpad(work=work)
    run = deployment.run(person.launches(), work)
    person.page.wait_for_url(f"**/runs/{run.id}**")
    person.reads_tags()
    # Past the time that a Launchpad may be without its button. The script would ask, then complain.
    person.page.clock.run_for(6000)
    person.page.evaluate("fetch('/server_info').then(() => fetch('/server_info'))")
    assert not [problem for problem in person.problems if "isolat" in problem.lower()]


def test_it_stands_left_of_the_button_in_the_same_row(person: Person) -> None:
    person.opens_launchpad()
    expect(person.toggle).to_be_checked()
    label = person.page.get_by_text("Isolate run environment").bounding_box()
    button = person.launch_button.bounding_box()
    assert label is not None
    assert button is not None
    assert 0 < button["x"] - (label["x"] + label["width"]) < 32
    assert abs((button["y"] + button["height"] / 2) - (label["y"] + label["height"] / 2)) < 20


def test_by_keyboard_alone(deployment: DagsterDeployment, person: Person) -> None:
    work = deployment.work(held=False)
    person.opens_launchpad(work=work)
    expect(person.toggle).to_be_checked()
    # It comes right before the button.
    person.launch_button.focus()
    person.page.keyboard.press("Shift+Tab")
    expect(person.toggle).to_be_focused()
    ring = person.page.locator(".run-isolation .back")
    expect(ring).to_have_css("stroke-width", "6px")
    person.page.keyboard.press("Space")
    expect(person.toggle).not_to_be_checked()
    person.page.keyboard.press("Tab")
    expect(person.launch_button).to_be_focused()
    run = deployment.run(person.launches(lambda: person.page.keyboard.press("Enter")), work)
    assert_not_isolated(deployment, run)


def test_the_choice_is_kept_for_the_code_location_in_this_browser(
    new_person: NewPerson,
) -> None:
    person = new_person()
    person.opens_launchpad()
    person.chooses(isolate=False)
    person.page.reload()
    expect(person.launch_button).to_be_enabled()
    expect(person.toggle).not_to_be_checked()
    person.opens_launchpad("steps_job")
    expect(person.toggle).not_to_be_checked()
    # Not for another code location, and not for somebody else.
    person.opens_launchpad(location=OTHER)
    expect(person.toggle).to_be_checked()
    somebody = new_person()
    somebody.opens_launchpad()
    expect(somebody.toggle).to_be_checked()


def test_each_tab_of_a_launchpad_has_its_own_choice(
    deployment: DagsterDeployment, person: Person
) -> None:
    person.opens_launchpad()
    expect(person.toggle).to_be_checked()
    tabs = person.page.get_by_text("New Run", exact=True)
    person.page.get_by_text("+ Add...").click()
    expect(tabs).to_have_count(2)
    person.chooses(isolate=False)
    tabs.first.click()
    expect(person.toggle).to_be_checked()
    tabs.last.click()
    expect(person.toggle).not_to_be_checked()

    person.page.reload()
    expect(person.launch_button).to_be_enabled()
    expect(person.toggle).not_to_be_checked()
    tabs.first.click()
    expect(person.toggle).to_be_checked()
    run = deployment.run(person.launches())
    assert_isolated(deployment, run)


def test_each_window_keeps_its_own_choice(deployment: DagsterDeployment, person: Person) -> None:
    person.opens_launchpad()
    expect(person.toggle).to_be_checked()
    other = person.another_window()
    other.opens_launchpad()
    other.chooses(isolate=False)
    # The other window brings another tab to the front of its Launchpad, as it is kept for both.
    other.page.get_by_text("+ Add...").click()
    other.chooses(isolate=False)
    # Whatever is done here from now on: nobody has chosen anything here.
    person.page.keyboard.press("Shift")
    expect(person.toggle).to_be_checked()
    assert_isolated(deployment, deployment.run(person.launches()))
    assert_not_isolated(deployment, deployment.run(other.launches()))


def test_another_job_and_back_without_loading_the_page(person: Person) -> None:
    person.opens_launchpad()
    person.chooses(isolate=False)
    person.page.get_by_role("link", name="Jobs", exact=True).first.click()
    expect(person.toggle).to_have_count(0)
    person.page.go_back()
    expect(person.launch_button).to_be_enabled()
    expect(person.toggle).not_to_be_checked()
    expect(person.page.locator(".run-isolation")).to_have_count(1)
    expect(person.banner).to_have_count(0)
    assert not [problem for problem in person.problems if re.search("isolat", problem)]
