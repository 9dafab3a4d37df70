"""What the toggle looks like, and whether people who can't see it can use it.

`make screenshots` keeps the pictures for the docs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest

from run_isolation import tag_names
from run_isolation.dagster import run_record
from tests.browser.conftest import NewPerson
from tests.browser.person import Person, expect
from tests.browser.test_page import rewrite
from tests.e2e.dagster_deployment import ON, DagsterDeployment
from tests.e2e.runs import Run

pytestmark = pytest.mark.browser

Theme = Literal["light", "dark"]
THEMES: tuple[Theme, ...] = ("light", "dark")
KEEP_IN = "RUN_ISOLATION_SCREENSHOTS"
AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"

State = Callable[[DagsterDeployment, Person], None]


def checked(deployment: DagsterDeployment, person: Person) -> None:
    person.opens_launchpad()
    expect(person.toggle).to_be_checked()
    expect(person.lines).to_contain_text("peak 212 MiB")


def unchecked(deployment: DagsterDeployment, person: Person) -> None:
    checked(deployment, person)
    person.chooses(isolate=False)


def at_the_limit(deployment: DagsterDeployment, person: Person) -> None:
    deployment.launch()
    person.opens_launchpad()
    expect(person.toggle).to_be_disabled()
    expect(person.lines).to_contain_text("No slot is free: held by run ")


def disabled(deployment: DagsterDeployment, person: Person) -> None:
    deployment.up({})
    person.opens_launchpad()
    expect(person.toggle).to_have_count(0)


STATES: dict[str, State] = {
    "checked": checked,
    "unchecked": unchecked,
    "at-the-limit": at_the_limit,
    "disabled": disabled,
}


@pytest.fixture(scope="module", autouse=True)
def past_runs(shared_deployment: DagsterDeployment) -> None:
    """Five runs of the job, with what is recorded of them."""
    shared_deployment.up(ON)
    for peak in (180, 212, 199, 205, 190):
        run = shared_deployment.launch(held=False)
        run.wait_for("SUCCESS")
        shared_deployment.wait_for_free_slots()
        record(shared_deployment, run, peak)


def record(deployment: DagsterDeployment, run: Run, peak_mib: int) -> None:
    """Write on the run what the runtime will record of it."""
    deployment.command(
        "python",
        "-c",
        "import sys; from dagster import DagsterInstance; "
        "DagsterInstance.get().add_run_tags(sys.argv[1], dict(p.split('=') for p in sys.argv[2:]))",
        run.id,
        f"{tag_names.PEAK_MIB}={peak_mib}",
        f"{tag_names.START_LATENCY_SECONDS}=1.1",
        f"{run_record.OWNER}={run.id}",
    )


def test_the_last_runs_of_the_job_help_to_choose(
    deployment: DagsterDeployment, person: Person
) -> None:
    person.opens_launchpad()
    expect(person.lines).to_have_text(
        re.compile(r"^last 5 runs: peak 212 MiB, \d+ s · shared: starts in about 1 s, fits$")
    )
    # Of a job that was never launched nothing is known.
    person.opens_launchpad("limited_job")
    expect(person.toggle).to_be_checked()
    expect(person.lines).to_be_empty()


def test_a_job_that_needs_more_than_is_there(deployment: DagsterDeployment, person: Person) -> None:
    run = deployment.launch("pooled_job", op="pooled", held=False)
    run.wait_for("SUCCESS")
    record(deployment, run, 1900)
    person.opens_launchpad("pooled_job")
    expect(person.lines).to_have_text("last run peaked at 1.9 GiB: isolate")
    # It is advice: the choice is the person's.
    expect(person.toggle).to_be_enabled()


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("state", STATES)
def test_how_it_looks(
    state: str, theme: Theme, deployment: DagsterDeployment, new_person: NewPerson, tmp_path: Path
) -> None:
    person = new_person(color_scheme=theme)
    STATES[state](deployment, person)
    # Nothing is under the pointer, and nothing has the focus.
    person.page.mouse.move(400, 300)
    kept = Path(os.environ.get(KEEP_IN, tmp_path))
    kept.mkdir(parents=True, exist_ok=True)
    picture = kept / f"toggle-{state}-{theme}.png"
    person.page.screenshot(
        path=picture,
        animations="disabled",
        clip={"x": 520, "y": 590, "width": 760, "height": 170},
    )
    assert picture.stat().st_size > 1000
    if state != "disabled":
        assert_accessible(person, ".run-isolation")


@pytest.mark.parametrize("theme", THEMES)
def test_the_banner_is_accessible(theme: Theme, new_person: NewPerson) -> None:
    person = new_person(color_scheme=theme)
    rewrite(person, "Launch Run", "Start it")
    person.goes_to("/locations/probe/jobs/work_job/playground")
    expect(person.banner).to_be_visible()
    assert_accessible(person, ".run-isolation-banner")


def test_its_colours_are_those_of_dagsters_own_checkbox(new_person: NewPerson) -> None:
    """In each theme: the box that is drawn beside it in the same page, and the text."""
    for theme in THEMES:
        person = new_person(color_scheme=theme)
        person.opens_launchpad()
        expect(person.toggle).to_be_checked()
        theirs = person.page.locator("label", has_text="Errors only")
        ours = person.page.locator(".run-isolation label")
        for trait in ("color", "font-size", "font-family", "font-weight", "gap"):
            assert style(ours, trait) == style(theirs, trait), (theme, trait)
        person.chooses(isolate=False)
        border = person.page.locator(".run-isolation .border")
        expect(border).to_have_css("stroke", style(theirs.locator("#Border"), "fill"))
        sizes = [each.locator("svg").bounding_box() for each in (ours, theirs)]
        assert sizes[0] is not None
        assert sizes[1] is not None
        assert (sizes[0]["width"], sizes[0]["height"]) == (sizes[1]["width"], sizes[1]["height"])


def style(locator: Any, trait: str) -> str:
    """What the browser makes of a property."""
    return str(locator.evaluate("(e, trait) => getComputedStyle(e)[trait]", trait))


def assert_accessible(person: Person, what: str) -> None:
    """axe-core finds nothing in it."""
    if not AXE.exists():
        pytest.skip("no axe-core here: `make page` installs it, where npm is found")
    person.page.evaluate(AXE.read_text())
    found = person.page.evaluate("(what) => axe.run(what)", what)
    assert found["passes"], "axe looked at nothing"
    violations = [
        (each["id"], each["help"], [node["html"] for node in each["nodes"]])
        for each in found["violations"]
    ]
    assert violations == []
