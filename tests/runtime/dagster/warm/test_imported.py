"""What import has left in the server, and its forks have, or have not."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from dataclasses import dataclass

import pytest

SERVER = """
import os, sys
from run_isolation.dagster.warm import template
from run_isolation.dagster.warm.detection import Import
from run_isolation.dagster.warm.fork_context import WarmContext
from run_isolation.dagster.warm.keeper import Grace
from run_isolation.dagster.warm.server_state import ServerState

server = ServerState.take()
with Import.watched() as imported:
    import loaded
assert not imported.findings()
sys.stderr.write(f"told: {imported.exit_handlers.told()}")
context = WarmContext(template.fork(server.settler(imported), Grace()), sys.exit)
for _ in range(2):
    process = context.Process(target=loaded.draw)
    process.start()
    process.join()
print("server", os.getpid())
"""
CODE = """
import atexit, functools, os, random
import numpy

print("printed at import")

class Client:
    def flush(self, what):
        print("flushed", what, os.getpid())

def remove_files():
    print("removed", os.getpid())

def flush():
    print("dropped", os.getpid())

atexit.register(functools.partial(Client().flush, "events"))
atexit.register(remove_files)
atexit.register(flush)
atexit.unregister(flush)

def draw():
    print("drew", random.random(), numpy.random.random())
"""
SEEDS = """
random.seed(42)
numpy.random.seed(42)
"""


@dataclass(frozen=True)
class Said:
    """By the server and two processes that it had forked."""

    lines: list[list[str]]
    told: str

    def of(self, word: str) -> list[list[str]]:
        """What was said after a line's first word."""
        return [rest for first, *rest in self.lines if first == word]


@pytest.fixture(scope="module", params=["seeded", "not seeded"])
def said(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Said:
    place = tmp_path_factory.mktemp("imported")
    (place / "loaded.py").write_text(CODE + (SEEDS if request.param == "seeded" else ""))
    environment = {**os.environ, "PYTHONPATH": str(place)}
    environment.pop("PYTHONUNBUFFERED", None)
    done = subprocess.run(
        [sys.executable, "-c", SERVER],
        env=environment,
        capture_output=True,
        check=True,
        text=True,
        timeout=120,
    )
    return Said([line.split() for line in done.stdout.splitlines()], done.stderr)


def test_what_import_has_printed_is_printed_once(said: Said) -> None:
    assert said.of("printed") == [["at", "import"]]


def test_an_exit_handler_that_flushes_is_executed_in_each(said: Said) -> None:
    [[server]] = said.of("server")
    assert [what for what, _ in said.of("flushed")] == ["events"] * 3
    pids = {pid for _, pid in said.of("flushed")}
    assert len(pids) == 3
    assert server in pids
    assert said.of("dropped") == []


def test_another_one_is_the_server_s_and_that_is_told(said: Said) -> None:
    assert said.of("removed") == said.of("server")
    assert "told: Runs that are forked do not execute exit handlers" in said.told
    assert "at import: remove_files (by module loaded). They" in said.told


def test_generators_that_import_has_seeded_are_not_seeded_anew(
    said: Said, request: pytest.FixtureRequest
) -> None:
    [first, second] = said.of("drew")
    if request.node.callspec.params["said"] == "seeded":
        assert first == second
        assert first[0] == str(random.Random(42).random())
    else:
        assert not set(first) & set(second)
