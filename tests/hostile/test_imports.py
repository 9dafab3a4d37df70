"""What modules may do at import: the log says it, and how to mend it; runs work all the same."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from dagster import DagsterRunStatus

from tests.hostile.conftest import Serve, Victim

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

SPAWNED = "Runs are spawned"


@pytest.fixture
def port() -> Iterator[str]:
    """Of somebody who accepts connections."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield str(listener.getsockname()[1])


def warnings(victim: Victim) -> list[str]:
    """The lines that say why runs are not forked."""
    lines = victim.runs.server.said().splitlines()
    return [line for line in lines if SPAWNED in line and "WARNING" in line]


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("threads", ["Module threads", "thread", "telemetry"]),
        ("connection", ["Module connection", "127.0.0.1:{port}"]),
        ("channel", ["Module channel", "gRPC channel", "(grpc)"]),
    ],
)
def test_what_a_fork_does_not_survive_is_told_and_runs_are_spawned(
    serve: Serve, port: str, location: str, words: list[str]
) -> None:
    victim = serve(location, {"HOSTILE_PORT": port})
    # What, where, and how to mend it.
    wanted = [*(word.format(port=port) for word in words), "warmStart: false"]
    [line] = warnings(victim)
    assert all(word in line for word in wanted), line
    run = victim.runs.execute("ordinary")
    assert run.status is DagsterRunStatus.SUCCESS, victim.runs.told(run)


def test_a_module_that_forks_is_served(serve: Serve) -> None:
    victim = serve("forks")
    assert warnings(victim) == []
    victim.still_works()
    victim.nothing_is_left()


def test_libraries_with_threads_that_nobody_misses_are_forked(serve: Serve) -> None:
    victim = serve("analytics")
    assert warnings(victim) == []
    victim.still_works()
    victim.nothing_is_left()
