"""The page around the toggle: prefix, read-only mode, content security policy, other versions."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Route

from tests.browser.conftest import NewPerson, Webserver
from tests.browser.person import Person, expect
from tests.browser.test_launchpad import assert_isolated, assert_not_isolated
from tests.e2e.dagster_deployment import DagsterDeployment

pytestmark = pytest.mark.browser


def test_below_a_path_prefix(
    deployment: DagsterDeployment, webserver: Webserver, new_person: NewPerson
) -> None:
    with webserver("--path-prefix", "/data", prefix="/data") as url:
        person = new_person(url)
        work = deployment.work()
        person.opens_launchpad(work=work)
        person.chooses(isolate=False)
        run = deployment.run(person.launches(), work)
        assert_not_isolated(deployment, run)
        person.opens_launchpad()
        link = person.lines.get_by_role("link")
        assert link.get_attribute("href") == f"/data/runs/{run.id}"
        assert not person.problems


def test_in_read_only_mode_there_is_none(webserver: Webserver, new_person: NewPerson) -> None:
    with webserver("--read-only") as url:
        person = new_person(url)
        person.goes_to("/locations/probe/jobs/work_job/playground")
        expect(person.page.get_by_role("heading", name="work_job").first).to_be_visible()
        expect(person.toggle).to_have_count(0)
        answer = person.page.request.get(f"{url}/run_isolation/slots?location=probe")
        assert answer.json() == {"state": "absent"}
        history = f"{url}/run_isolation/history?location=probe&job=work_job"
        assert person.page.request.get(history).json() == {"runs": 0}


def test_its_scripts_are_allowed_by_nonce_and_come_from_here(person: Person) -> None:
    person.opens_launchpad()
    expect(person.toggle).to_be_checked()
    html = person.page.request.get(person.url).text()
    ours = re.findall(r"<(?:script|link)[^>]*run_isolation[^>]*>", html)
    assert len(ours) > 1
    assert all(re.search(r'(src|href)="/run_isolation/', tag) for tag in ours)
    assert all("nonce=" in tag for tag in ours if "stylesheet" not in tag)
    assert not person.problems


def rewrite(person: Person, old: str, new: str) -> list[int]:
    """Let Dagster's own script be another one; how often it was, by file."""
    count: list[int] = []

    def answer(route: Route) -> None:
        response = route.fetch()
        text = response.text()
        if old in text:
            count.append(text.count(old))
        route.fulfill(response=response, body=text.replace(old, new))

    person.page.route("**/_next/static/chunks/*.js", answer)
    return count


def test_a_page_that_is_built_otherwise_still_launches_and_says_so(
    deployment: DagsterDeployment, person: Person
) -> None:
    rewritten = rewrite(person, "Launch Run", "Start it")
    work = deployment.work(held=False)
    person.goes_to("/locations/probe/jobs/work_job/playground")
    expect(person.banner).to_be_visible()
    assert rewritten
    expect(person.banner).to_contain_text("dagster/isolation: disabled")
    expect(person.toggle).to_have_count(0)
    start = person.page.get_by_role("button", name="Start it")
    assert_isolated(deployment, deployment.run(person.launches(start.click)))
    del work


def test_a_launch_by_another_mutation_is_isolated_and_the_page_says_so(
    deployment: DagsterDeployment, person: Person
) -> None:
    # GraphQL would not know it, so the launch itself fails; it is not ours that fails it.
    rewrite(person, "launchPipelineExecution(", "launchSomethingNew(")
    person.opens_launchpad()
    person.chooses(isolate=False)
    person.launch_button.click()
    expect(person.banner).to_be_visible()
    expect(person.toggle).to_have_count(0)


def test_the_banner_can_be_dismissed(person: Person) -> None:
    rewrite(person, "Launch Run", "Start it")
    person.goes_to("/locations/probe/jobs/work_job/playground")
    expect(person.banner).to_be_visible()
    person.page.get_by_role("button", name="Dismiss").click()
    expect(person.banner).to_have_count(0)


def test_where_non_isolated_runs_are_disabled_there_is_no_banner_either(
    deployment: DagsterDeployment, person: Person
) -> None:
    deployment.up({})
    rewrite(person, "Launch Run", "Start it")
    with person.page.expect_response("**/run_isolation/slots?**"):
        person.goes_to("/locations/probe/jobs/work_job/playground")
    expect(person.page.get_by_role("button", name="Start it")).to_be_enabled()
    expect(person.banner).to_have_count(0)
