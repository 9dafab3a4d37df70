"""A person at Dagster's page: clicks and reads, and has a browser profile of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

import yaml
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    Response,
)
from playwright.sync_api import expect as expect

from tests.browser.chromium import PATIENCE_MILLISECONDS
from tests.e2e.dagster_deployment import PROBE
from tests.e2e.runs import Work

TOGGLE = "Isolate run environment"
BANNER = "is not available: this version of Dagster's page is not built as we know it"


@dataclass
class Person:
    """One browser profile with one window.

    Attributes:
        url: The webserver's, with its path prefix.
        page: The window.
        problems: Whatever went wrong in the page: errors, breaches of its content security policy,
            requests to other servers.
    """

    url: str
    page: Page
    problems: list[str] = field(default_factory=list)

    @classmethod
    def at(cls, browser: Browser, url: str, **context: Any) -> Person:
        """Somebody who has never been here. Close with `leave`."""
        profile = browser.new_context(viewport={"width": 1280, "height": 760}, **context)
        profile.set_default_timeout(PATIENCE_MILLISECONDS)
        # Dagster greets newcomers with an invitation to its community.
        profile.add_init_script("localStorage.setItem('communityNux', '\"1\"')")
        return cls._in(profile, url)

    @classmethod
    def _in(cls, profile: BrowserContext, url: str) -> Person:
        person = cls(url, profile.new_page())
        person.page.on("console", person._note_message)
        person.page.on("pageerror", lambda error: person.problems.append(str(error)))
        person.page.on("request", person._note_request)
        person.page.on("response", person._note_response)
        return person

    def another_window(self) -> Person:
        """The same person, the same profile."""
        return self._in(self.page.context, self.url)

    def leave(self) -> None:
        """Close the profile with all its windows."""
        self.page.unroute_all(behavior="ignoreErrors")
        self.page.context.close()

    def _note_message(self, message: ConsoleMessage) -> None:
        # Which resource it was is in the response.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.problems.append(message.text)

    def _note_response(self, response: Response) -> None:
        # Dagster itself asks for its icons without the path prefix.
        if response.status >= 400 and "/favicon" not in response.url:
            self.problems.append(f"{response.status} for {response.url}")

    def _note_request(self, request: Request) -> None:
        if urlsplit(request.url).netloc not in (urlsplit(self.url).netloc, ""):
            self.problems.append(f"request to {request.url}")

    def goes_to(self, path: str) -> None:
        """Type an address."""
        self.page.goto(self.url + path)

    def opens_launchpad(
        self, job: str = "work_job", *, location: str = PROBE, work: Work | None = None
    ) -> None:
        """Open a job's Launchpad, with a run config or the default one; wait till it is ready."""
        path = f"/locations/{location}/jobs/{job}/playground"
        if work is not None:
            path += f"/setup?config={quote(yaml.safe_dump(work.config()))}"
        self.goes_to(path)
        expect(self.launch_button).to_be_enabled()

    @property
    def launch_button(self) -> Locator:
        """Of the Launchpad: a job's, or an asset's in a dialog."""
        asset = self.page.get_by_role("dialog").get_by_role("button", name="Materialize")
        return self.page.get_by_role("button", name="Launch Run").or_(asset)

    @property
    def toggle(self) -> Locator:
        """The checkbox."""
        return self.page.get_by_role("checkbox", name=TOGGLE)

    @property
    def lines(self) -> Locator:
        """What stands below it."""
        return self.page.locator("#run-isolation-lines")

    @property
    def banner(self) -> Locator:
        """What stands in the page when it has no toggle."""
        return self.page.get_by_text(BANNER)

    def chooses(self, *, isolate: bool) -> None:
        """Click the toggle's text, if it is not so already."""
        expect(self.toggle).to_be_enabled()
        if self.toggle.is_checked() != isolate:
            self.page.get_by_text(TOGGLE).click()
        expect(self.toggle).to_be_checked(checked=isolate)

    def launches(self, act: Callable[[], None] | None = None) -> str:
        """Press the Launchpad's button, or do something else that launches. The run's id."""
        with self.page.expect_response(is_launch) as launched:
            (act or self.launch_button.click)()
        return run_id(launched.value.json())

    def reads_tags(self) -> list[str]:
        """All tags of the run whose page is open, as they are shown."""
        self.page.get_by_role("button", name="View tags and config").click()
        dialog = self.page.get_by_role("dialog")
        dialog.locator("[data-tooltip]").first.wait_for()
        # All at one moment: a run that goes on gets more of them.
        return dialog.locator("[data-tooltip]").all_inner_texts()


def set_tag(person: Person, key: str, value: str) -> None:
    """Let the open Launchpad have this tag alone, by its editor; none where `value` is empty."""
    person.page.get_by_role("button", name="Edit tags").click()
    editor = person.page.get_by_role("dialog").filter(has_text="Add custom tag")
    editor.get_by_role("textbox").nth(0).fill(key if value else "")
    editor.get_by_role("textbox").nth(1).fill(value)
    editor.get_by_role("button", name="Apply").click()
    expect(editor).to_have_count(0)


def is_launch(response: Any) -> bool:
    """Whether it answers a launch of one run."""
    sent = response.request.post_data or ""
    return "graphql" in response.url and ("launchPipeline" in sent or "launchRun" in sent)


def run_id(answer: Any) -> str:
    """The launched run of a GraphQL answer."""
    [launched] = answer["data"].values()
    assert "run" in launched, launched
    return str(launched["run"]["id"])
