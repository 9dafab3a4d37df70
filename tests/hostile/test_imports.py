"""What modules may do at import: the log says it, and how to mend it; runs work all the same."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from dagster import DagsterRunStatus

from tests.code_server.pending import warm_start
from tests.hostile.conftest import Serve, Victim

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

SPAWNED = "Runs are spawned"


@pytest.fixture
def port() -> Iterator[str]:
    """Of somebody who accepts connections."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield str(listener.getsockname()[1])


def warning(victim: Victim) -> str:
    """The line that says why runs are not forked."""
    lines = [line for line in victim.runs.server.said().splitlines() if SPAWNED in line]
    assert len(lines) == 1, victim.runs.server.said()
    return lines[0]


@warm_start
@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("threads", ["thread", "telemetry", "threads"]),
        ("connection", ["127.0.0.1:{port}", "connection"]),
        ("channel", ["grpc", "channel"]),
    ],
)
def test_what_a_fork_does_not_survive_is_told_and_runs_are_spawned(
    serve: Serve, port: str, location: str, words: list[str]
) -> None:
    victim = serve(location, {"HOSTILE_PORT": port})
    line = warning(victim)
    for word in words:
        assert word.format(port=port) in line
    assert "WARNING" in line
    # How to mend it.
    assert "warmStart" in line
    run = victim.runs.execute("ordinary")
    assert run.status is DagsterRunStatus.SUCCESS, victim.runs.told(run)


@warm_start
def test_a_module_that_forks_is_served(serve: Serve) -> None:
    victim = serve("forks")
    victim.still_works()
    victim.nothing_is_left()
