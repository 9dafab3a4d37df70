"""What each tier of `make test` takes: measured around its command, and the table in CONTRIBUTING.

`python -m tests.tiers run unit -- pytest …` runs a command and says what it took. Where
RUN_ISOLATION_COSTS names a directory it is written there too, and `tests/costs.py` writes what
tests there were. `python -m tests.tiers table` makes the table of it; `make costs` does both.
"""

from __future__ import annotations

import json
import os
import platform
import re
import resource
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import click

from tests.costs import DIRECTORY, TIER

CONTRIBUTING: Final = Path(__file__).parent.parent / "CONTRIBUTING.md"
TIERS: Final = {
    "lint": "lint",
    "types": "types",
    "page": "page",
    "unit": "unit, infra mocks, wire",
    "account": "unit, with an account in its process",
    "live": "browser, end to end",
    "engine": "engine, faults, parity, hostile",
}
"""Names of tiers in the order of the table, and what stands there."""
ENGINE: Final = {"engine", "e2e", "browser", "torture"}
"""Markers of tests that are not part of `make unit`."""
NO_UNIT: Final = ("browser", "deployment", "e2e", "faults", "hostile", "parity")
ON_ACCOUNT: Final = (
    "localaws",
    "security",
    "tools/local",
    "runtime/dagster/test_outputs.py",
    "runtime/dagster/test_outputs_of_runs.py",
)
"""Places below tests/ where no test is part of `make unit`, and where all are that use the account
of their process. It is there alone that the Makefile looks for them, or does not."""
_BETWEEN_MARKERS: Final = re.compile(r"(<!-- costs -->\n).*?(<!-- /costs -->)", re.DOTALL)


def in_no_tier(file: str, markers: Collection[str]) -> bool:
    """Whether no tier of the Makefile would run a test.

    Args:
        file: Its path, below tests/.
        markers: All that it has.
    """

    def is_in(places: Sequence[str]) -> bool:
        return any(Path(file).is_relative_to(place) for place in places)

    if ENGINE.intersection(markers):
        return False
    return is_in(NO_UNIT) or ("account" in markers and not is_in(ON_ACCOUNT))


@dataclass(frozen=True)
class Took:
    """What a tier took, in seconds; CPU with all processes that somebody waited for.

    One that its parent has left alone is not counted: to adopt it, this process would have to come
    between it and init, and tests look at what becomes of such processes.
    """

    wall: float
    cpu: float

    def __add__(self, other: Took) -> Took:
        return Took(self.wall + other.wall, self.cpu + other.cpu)


def measure(command: Sequence[str], tier: str) -> tuple[int, Took]:
    """Runs a command; its exit code, and what it took."""
    begun, before = time.monotonic(), _cpu_of_the_dead()
    code = subprocess.run(command, env={**os.environ, TIER: tier}, check=False).returncode
    return code, Took(time.monotonic() - begun, _cpu_of_the_dead() - before)


def _cpu_of_the_dead() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def write_table(directory: Path, page: Path = CONTRIBUTING) -> None:
    """Puts what was measured between the page's markers.

    Raises:
        click.ClickException: Nothing was measured, or the page has no markers.
    """
    took = {
        name: Took(**json.loads(file.read_text()))
        for name in TIERS
        if (file := directory / f"{name}.json").exists()
    }
    missing = [name for name in TIERS if name not in took]
    if missing:
        raise click.ClickException(
            f"{directory} has nothing of {', '.join(missing)}: `make costs` measures all."
        )
    lines = "\n".join(_table(directory, took))
    text, found = _BETWEEN_MARKERS.subn(lambda m: f"{m[1]}\n{lines}\n\n{m[2]}", page.read_text())
    if not found:
        raise click.ClickException(f"{page} has no line <!-- costs --> with <!-- /costs --> after.")
    page.write_text(text)


def _table(directory: Path, took: dict[str, Took]) -> Iterator[str]:
    yield "| Tier | Tests | Skipped | Wall, minutes | CPU, minutes |"
    yield "| --- | --- | --- | --- | --- |"
    for name, words in TIERS.items():
        tests = _tests(directory, name)
        yield _row(words, tests.get("passed", "-"), tests.get("skipped", "-"), took[name])
    all_tests = [_tests(directory, name) for name in TIERS]
    passed, skipped = (sum(one.get(key, 0) for one in all_tests) for key in ("passed", "skipped"))
    yield _row("**all**", passed, skipped, sum(took.values(), Took(0, 0)))
    yield ""
    day = time.strftime("%Y-%m-%d", time.gmtime((directory / "lint.json").stat().st_mtime))
    yield f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, {day}."


def _tests(directory: Path, tier: str) -> dict[str, Any]:
    file = directory / f"{tier}.tests.json"
    tests: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    return tests


def _row(words: str, passed: object, skipped: object, took: Took) -> str:
    return f"| {words} | {passed} | {skipped} | {took.wall / 60:.1f} | {took.cpu / 60:.1f} |"


@click.group()
def main() -> None:
    """What each tier of tests takes."""


@main.command()
@click.argument("tier", type=click.Choice(list(TIERS)))
@click.argument("command", nargs=-1, required=True)
def run(tier: str, command: tuple[str, ...]) -> None:
    """Run a command, and say what it took."""
    code, took = measure(command, tier)
    click.echo(f"{TIERS[tier]}: {took.wall:.0f} s, {took.cpu:.0f} CPU seconds")
    if DIRECTORY in os.environ:
        directory = Path(os.environ[DIRECTORY])
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"{tier}.json").write_text(json.dumps(asdict(took)))
    sys.exit(code)


@main.command()
def table() -> None:
    """Put what was measured into CONTRIBUTING.md."""
    write_table(Path(os.environ[DIRECTORY]))


if __name__ == "__main__":
    main()
