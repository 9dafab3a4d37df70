"""Says at the end of a test run what was skipped, and what brings it.

Where RUN_ISOLATION_SKIPS is `kernel`, as in CI, a skip fails the run, unless it is for something
that the machine's kernel does not allow.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import Final

import pytest

VARIABLE: Final = "RUN_ISOLATION_SKIPS"
BRINGS: Final = {
    "Chromium": "apt-get install chromium",
    "Postgres": "apt-get install postgresql",
    "mvn": "apt-get install maven",
    "Java": "apt-get install default-jre-headless",
    "make page": "apt-get install npm && make page",
    "node": "apt-get install npm",
    "bwrap": "apt-get install bubblewrap",
    "to be had": "pip's index must have it: set PIP_INDEX_URL",
}
"""The line that brings it, by a word of the reason."""
KERNEL: Final = ("limits of tasks are off", "limits are off", "control group", "the kernel")
"""Words of reasons that are the kernel's."""


def reasons(terminalreporter: pytest.TerminalReporter) -> Counter[str]:
    """How many tests were skipped, by reason."""
    return Counter(
        str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
        for report in terminalreporter.stats.get("skipped", ())
    )


def remedy(reason: str) -> str:
    """What brings it."""
    if is_the_kernels(reason):
        return "a kernel, or a container, that allows it"
    return next((line for word, line in BRINGS.items() if word in reason), "see the test")


def is_the_kernels(reason: str) -> bool:
    """Whether the machine does not allow it."""
    return any(words in reason for words in KERNEL)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Nothing else may be skipped."""
    shown = session.config.pluginmanager.get_plugin("terminalreporter")
    if shown is None or os.environ.get(VARIABLE) != "kernel":
        return
    if not all(map(is_the_kernels, reasons(shown))) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Shows them."""
    skipped = reasons(terminalreporter)
    if not skipped:
        return
    strict = os.environ.get(VARIABLE) == "kernel"
    terminalreporter.section("skipped, and what brings it")
    for reason, count in skipped.items():
        verdict = " - not allowed here" if strict and not is_the_kernels(reason) else ""
        terminalreporter.write_line(f"{count}: {reason.removeprefix('Skipped: ')}{verdict}")
        terminalreporter.write_line(f"     {remedy(reason)}")
