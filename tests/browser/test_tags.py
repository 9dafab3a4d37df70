"""A tag `dagster/isolation` in the Launchpad decides; the toggle is greyed and says what comes."""

from __future__ import annotations

import pytest

from tests.browser.person import Person, expect, set_tag
from tests.browser.test_assets import ASSET, materialize
from tests.browser.test_launchpad import DEFAULT, assert_isolated, assert_not_isolated
from tests.e2e.dagster_deployment import DagsterDeployment

pytestmark = pytest.mark.browser

KEY = "dagster/isolation"


def reason(value: str) -> str:
    """The coordinator's, of a run with such a tag."""
    return f"Tag {KEY} is '{value}'; only 'disabled' asks for a run without its own task."


def assert_decided_by_tag(person: Person, value: str) -> None:
    """The toggle shows what the tag leads to, and that it can't be changed here."""
    expect(person.lines).to_contain_text("Remove the tag to choose here.")
    if value == "disabled":
        expect(person.lines).to_contain_text("This run will not be isolated")
        expect(person.lines).to_contain_text("Tag dagster/isolation is 'disabled'.")
    else:
        expect(person.lines).to_contain_text(f"This run will be isolated. {reason(value)}")
    expect(person.toggle).to_be_disabled()
    expect(person.toggle).to_be_checked(checked=value != "disabled")
    expect(person.launch_button).to_be_enabled()


def test_a_tag_of_any_value_decides_and_without_it_the_choice_is_back(
    deployment: DagsterDeployment, person: Person
) -> None:
    person.opens_launchpad()
    person.chooses(isolate=False)
    for value in ("disabled", "non-isolated", "Disabled", "false", "enabled"):
        set_tag(person, KEY, value)
        assert_decided_by_tag(person, value)
    set_tag(person, KEY, "")
    expect(person.toggle).to_be_enabled()
    expect(person.toggle).not_to_be_checked()
    # The editor takes blanks away.
    set_tag(person, KEY, " disabled ")
    assert_decided_by_tag(person, "disabled")
    run = deployment.run(person.launches())
    assert_not_isolated(deployment, run)
    assert run.tags[KEY] == "disabled"


def test_a_run_with_another_value_says_what_the_page_said(
    deployment: DagsterDeployment, person: Person
) -> None:
    work = deployment.work(held=False, fail=True)
    person.opens_launchpad(work=work)
    person.chooses(isolate=False)
    set_tag(person, KEY, "non-isolated")
    assert_decided_by_tag(person, "non-isolated")
    run = deployment.run(person.launches(), work)
    assert_isolated(deployment, run, reason("non-isolated"))
    expect(person.page.get_by_text(reason("non-isolated")).first).to_be_visible()

    # A re-execution inherits it. The Launchpad that is opened from a run takes only its config.
    run.wait_for("FAILURE")
    again = person.page.get_by_role("button", name="Re-execute").first
    expect(again).to_be_enabled()
    child = deployment.run(person.launches(again.click))
    assert (child.kind, child.reason) == ("isolated", reason("non-isolated"))
    person.goes_to(f"/locations/probe/jobs/work_job/playground/setup-from-run/{run.id}")
    expect(person.launch_button).to_be_enabled()
    expect(person.toggle).to_be_enabled()


def test_a_tag_whose_key_only_ends_so_decides_nothing(
    deployment: DagsterDeployment, person: Person
) -> None:
    """Dagster shows both without what stands before the slash."""
    person.opens_launchpad()
    set_tag(person, "isolation", "disabled")
    expect(person.page.get_by_text("isolation: disabled")).to_be_visible()
    expect(person.toggle).to_be_enabled()
    expect(person.toggle).to_be_checked()
    assert_isolated(deployment, deployment.run(person.launches()), DEFAULT)


def test_the_tag_of_the_jobs_definition_decides_unless_the_person_has_another(
    deployment: DagsterDeployment, person: Person
) -> None:
    person.opens_launchpad("partitioned_job")
    assert_decided_by_tag(person, "disabled")
    set_tag(person, KEY, "non-isolated")
    expect(person.page.locator('[data-tooltip^="isolation: "]')).to_have_count(2)
    assert_decided_by_tag(person, "non-isolated")
    set_tag(person, KEY, "")
    assert_decided_by_tag(person, "disabled")


def test_in_the_launchpad_of_assets(deployment: DagsterDeployment, person: Person) -> None:
    person.goes_to(ASSET)
    materialize(person).click(modifiers=["Shift"])
    expect(person.launch_button).to_be_enabled()
    person.chooses(isolate=False)
    set_tag(person, KEY, "non-isolated")
    assert_decided_by_tag(person, "non-isolated")
    set_tag(person, KEY, "")
    expect(person.toggle).to_be_enabled()
    expect(person.toggle).not_to_be_checked()
    set_tag(person, KEY, "non-isolated")
    assert_decided_by_tag(person, "non-isolated")
    run = deployment.run(person.launches())
    assert (run.kind, run.reason) == ("isolated", reason("non-isolated"))
