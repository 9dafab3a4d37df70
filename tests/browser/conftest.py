"""One deployment and one browser for all tests here; a new profile for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import pytest
from playwright.sync_api import Browser

from localaws.account import LocalAccount
from tests.browser.chromium import chromium, find_chromium
from tests.browser.person import Person
from tests.deployment.conftest import MakeStack, account, cli, make_stack, provider_port
from tests.e2e import storage
from tests.e2e.dagster_deployment import ON, DagsterDeployment, deployed
from tests.e2e.page import Page
from tests.e2e.programs import BIN, Program
from tests.waiting import eventually
from tools.ports import free_port

__all__ = ["account", "cli", "make_stack", "provider_port"]
"""Fixtures of the stack, its engine and its account."""


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = find_chromium()
    if program is None:
        pytest.skip("no Chromium here (Debian's package: chromium): the page is not tested")
    with chromium(program) as running:
        yield running


@pytest.fixture(scope="session")
def shared_deployment(
    browser: Browser,
    make_stack: MakeStack,
    account: LocalAccount,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[DagsterDeployment]:
    """A deployment with its webserver and daemon; none where there is no browser."""
    directory = tmp_path_factory.mktemp("browser")
    place = storage.sqlite(directory / "storage", account)
    with deployed(make_stack("browser"), account, directory, place) as deployment:
        yield deployment


@pytest.fixture
def deployment(shared_deployment: DagsterDeployment) -> Iterator[DagsterDeployment]:
    """The shared deployment, with one slot; runs that the test leaves are ended after it."""
    shared_deployment.up(ON)
    yield shared_deployment
    shared_deployment.settle()


NewPerson = Callable[..., Person]


@pytest.fixture
def new_person(browser: Browser, deployment: DagsterDeployment) -> Iterator[NewPerson]:
    """Somebody who has never been at this page (or at `url`), or several of them."""
    people: list[Person] = []

    def come(url: str = "", **context: object) -> Person:
        people.append(Person.at(browser, url or deployment.page.url, **context))
        return people[-1]

    yield come
    for person in people:
        person.leave()


@pytest.fixture
def person(new_person: NewPerson) -> Person:
    return new_person()


Webserver = Callable[..., AbstractContextManager[str]]


@pytest.fixture
def webserver(deployment: DagsterDeployment) -> Webserver:
    """Start another webserver of the deployment; its address, with the path prefix."""

    @contextmanager
    def start(
        *options: str,
        prefix: str = "",
        command: Sequence[str] = (str(BIN / "run-isolation"), "webserver"),
        **environment: str,
    ) -> Iterator[str]:
        port = free_port()
        server = Program(
            "another-webserver",
            [*command, "--host", "127.0.0.1", "--port", str(port), *options],
            deployment.home,
            deployment.environment("webserver") | environment,
            deployment.directory / "another-webserver.log",
        )
        url = f"http://127.0.0.1:{port}{prefix}"
        server.start()
        try:
            eventually(
                lambda: Page(url).answers or not server.alive,
                lambda: f"it answers\n{server.said()}",
            )
            assert server.alive, server.said()
            yield url
        finally:
            server.stop()

    return start
