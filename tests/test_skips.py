"""What a test run says about what it has skipped."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.skips import remedy

SKIPS = "import pytest\n\ndef test_skipped():\n    pytest.skip({reason!r})\n"
BROWSER = "no Chromium here (Debian's package: chromium): the page is not tested"
LIMITS = "CPU and memory limits of tasks are off on this machine: no control group file system"


@pytest.mark.parametrize(
    ("options", "reason", "code", "says"),
    [
        (["-p", "xdist", "-n", "1"], BROWSER, 1, "not allowed here"),
        ([], LIMITS, 0, "a kernel, or a container, that allows it"),
    ],
)
def test_in_ci_only_the_kernel_is_an_excuse(
    tmp_path: Path, options: list[str], reason: str, code: int, says: str
) -> None:
    (tmp_path / "test_it.py").write_text(SKIPS.format(reason=reason))
    command = [sys.executable, "-m", "pytest", "-p", "tests.skips", "-p", "no:cacheprovider"]
    run = subprocess.run(
        [*command, *options, str(tmp_path)],
        cwd=tmp_path,
        env={
            **os.environ,
            "RUN_ISOLATION_SKIPS": "kernel",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == code, run.stdout
    _, _, shown = run.stdout.partition("skipped, and what brings it")
    assert says in shown


def test_a_skip_comes_with_the_line_that_brings_it() -> None:
    assert remedy(BROWSER) == "apt-get install chromium"
    assert remedy("It is Tuesday") == "see the test"
