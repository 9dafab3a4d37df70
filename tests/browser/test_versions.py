"""The oldest and the newest Dagster that pyproject.toml allows: their pages have our anchors.

All other tests run on the version that requirements.txt pins.
"""

from __future__ import annotations

import tomllib

import pytest

from tests.browser.conftest import NewPerson, Webserver
from tests.browser.dagster_versions import PROJECT, RUNTIME, NotToBeHadError, python_with
from tests.browser.person import expect
from tests.browser.test_assets import ASSET, materialize
from tests.browser.test_launchpad import assert_not_isolated
from tests.browser.test_room import measure
from tests.e2e.dagster_deployment import DagsterDeployment

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]

OLDEST, NEWEST = "1.13.20", "1.13.28"


def test_the_oldest_is_the_one_that_is_promised() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    for extra, package in (("dagster", "dagster"), ("webserver", "dagster-webserver")):
        assert f"{package}>={OLDEST},<1.14" in project["optional-dependencies"][extra]


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_launchpads_of_jobs_and_assets(
    version: str, deployment: DagsterDeployment, webserver: Webserver, new_person: NewPerson
) -> None:
    try:
        python = python_with(version)
    except NotToBeHadError as error:
        pytest.skip(f"no Dagster {version} to be had here: {error}")
    command = [str(python), "-c", "from run_isolation.cli import main; main()", "webserver"]
    with webserver(command=command, PYTHONPATH=str(RUNTIME)) as url:
        person = new_person(url)
        assert person.page.request.get(f"{url}/server_info").json()["dagster_version"] == version
        person.opens_launchpad()
        expect(person.toggle).to_be_checked()
        person.chooses(isolate=False)
        assert measure(person)["problems"] == []
        run = deployment.run(person.launches())
        assert_not_isolated(deployment, run)
        run.wait_for("SUCCESS")
        deployment.wait_for_free_slots()

        person.goes_to(ASSET)
        materialize(person).click(modifiers=["Shift"])
        expect(person.launch_button).to_be_enabled()
        person.chooses(isolate=False)
        assert measure(person)["problems"] == []
        assert_not_isolated(deployment, deployment.run(person.launches()))
        expect(person.banner).to_have_count(0)
        assert not person.problems
