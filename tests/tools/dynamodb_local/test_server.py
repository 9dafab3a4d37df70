"""The process: it is there while the block lasts, and its data outlive a kill."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from run_isolation import Holder, NonIsolatedRuns, Slots, aws
from tests.runtime.tables import TABLE, configure, create_table
from tools.dynamodb_local import DynamoDBLocal, UnavailableError, ensure_jars


@pytest.fixture(autouse=True)
def jars() -> None:
    try:
        ensure_jars()
    except UnavailableError as error:
        pytest.skip(str(error))


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_what_it_acknowledged_is_there_after_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with DynamoDBLocal(tmp_path, short_lived=True) as local:
        for name, value in local.environment.items():
            monkeypatch.setenv(name, value)
        client = aws.dynamodb()
        create_table(client)
        configure(client, NonIsolatedRuns(enabled=True))
        holder = Holder("run-a", 1, "sales")
        Slots(client, TABLE).acquire(holder)
        local.restart()
        assert Slots(client, TABLE).holders() == (holder,)
    assert not listens(local.port)


def test_one_that_does_not_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="dbPath"):
        DynamoDBLocal(tmp_path / "missing").start()
