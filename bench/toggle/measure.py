"""The benchmark `toggle`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from playwright.sync_api import Browser
from rich.console import Console

from bench.harness import Cell, Row, interleaved
from localaws.account import LocalAccount
from localaws.provider.server import serve
from tests.browser.chromium import chromium, find_chromium
from tests.browser.person import Person
from tests.deployment.stack import PROJECT, DeployedStack
from tests.e2e import storage
from tests.e2e.dagster_deployment import ON, DagsterDeployment, deployed
from tests.e2e.page import Page
from tests.e2e.programs import BIN, Program
from tests.waiting import eventually
from tools.ports import free_port
from tools.pulumi_cli import ensure_pulumi

RUNS: Final = 41
OURS: Final = "ours"
DAGSTER: Final = "dagster-webserver"

_CLOCK: Final = """
window.launchpadReady = new Promise((resolve) => {
  const look = () => {
    const buttons = [...document.querySelectorAll('button[role="button"]')];
    const ready = buttons.some((each) => each.textContent === 'Launch Run' && !each.disabled);
    if (ready && (!TOGGLE || document.getElementById('run-isolation-toggle'))) {
      resolve(performance.now() / 1000);
    } else {
      requestAnimationFrame(look);
    }
  };
  look();
});
"""
"""The page itself keeps the time, from the navigation on: a slow test driver does not count."""


def measure(progress: Console) -> tuple[list[Row], list[Cell]]:
    """Measures both webservers; takes some five minutes.

    Raises:
        RuntimeError: There is no Chromium here.
    """
    program = find_chromium()
    if program is None:
        raise RuntimeError("No Chromium on PATH (Debian's package: chromium).")
    progress.print("toggle: a deployment")
    with ExitStack() as stack:
        deployment = stack.enter_context(_deployment())
        deployment.up(ON)
        browser = stack.enter_context(chromium(program))
        dagster = stack.enter_context(_dagsters_own(deployment))
        visits = {
            OURS: _visit(browser, deployment.page.url, toggle=True),
            DAGSTER: _visit(browser, dagster, toggle=False),
        }
        for visit in visits.values():
            visit()  # Both have their caches full, and the code location's answers.
        progress.print("toggle: opening the Launchpad")
        load = os.getloadavg()[0]
        values = interleaved(visits, RUNS)
    note = (
        "From the address to a Launchpad whose launch button can be pressed and, with the toggle, "
        f"whose toggle is there; browser cache full. Load average before it: {load:.1f}."
    )
    row = Row.of("launchpad_ready_s", "s", "lower", values[OURS], {DAGSTER: values[DAGSTER]}, note)
    return [row], []


def _visit(browser: Browser, url: str, *, toggle: bool) -> Callable[[], float]:
    """Opens the Launchpad in a window that stays; seconds until it is ready."""
    person = Person.at(browser, url)
    person.page.add_init_script(_CLOCK.replace("TOGGLE", str(toggle).lower()))

    def visit() -> float:
        person.goes_to("/locations/probe/jobs/work_job/playground")
        seconds = float(person.page.evaluate("launchpadReady"))
        assert person.toggle.count() == int(toggle), "the wrong webserver"
        return seconds

    return visit


@contextmanager
def _dagsters_own(deployment: DagsterDeployment) -> Iterator[str]:
    """Dagster's own webserver for the same home; its address."""
    port = free_port()
    server = Program(
        DAGSTER,
        [str(BIN / "dagster-webserver"), "--host", "127.0.0.1", "--port", str(port)],
        deployment.home,
        deployment.environment("webserver"),
        deployment.directory / "dagster-webserver.log",
    )
    page = Page(f"http://127.0.0.1:{port}")
    server.start()
    try:
        eventually(lambda: page.answers, lambda: f"it answers\n{server.said()}")
        yield page.url
    finally:
        server.stop()


@contextmanager
def _deployment() -> Iterator[DagsterDeployment]:
    """A deployment on the local account, with the probe's jobs."""
    with TemporaryDirectory(prefix="run-isolation-bench-") as name, ExitStack() as stack:
        directory = Path(name)
        images = directory / "images"
        release = images / "probe" / "1"
        shutil.copytree(PROJECT / "tests/locations/probe", release)
        (directory / "account").mkdir()
        account = stack.enter_context(LocalAccount(images, directory / "account", apart=False))
        server, port = serve(account.endpoint_url, account.environment())
        stack.callback(server.stop, grace=None)
        deployed_stack = DeployedStack(
            name="bench",
            directory=directory / "project",
            command=ensure_pulumi().command,
            environment={
                **account.environment(),
                "PULUMI_DEBUG_PROVIDERS": f"aws:{port}",
                "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            },
        )
        place = storage.sqlite(directory / "storage", account)
        yield stack.enter_context(
            deployed(deployed_stack, account, directory / "deployment", place)
        )
