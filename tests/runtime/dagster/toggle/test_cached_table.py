"""The slot table for all open pages: one read at a time, never a page that waits for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, cast

import pytest

from run_isolation import NonIsolatedRuns
from run_isolation.dagster.deployment import Deployment
from run_isolation.dagster.toggle import cached_table
from run_isolation.dagster.toggle.cached_table import Board, TableReading
from run_isolation.errors import SettingsError

ON = NonIsolatedRuns(enabled=True)


class Table:
    """A deployment whose table answers as a test says."""

    def __init__(self, settings: Callable[[], NonIsolatedRuns] = lambda: ON) -> None:
        self.manifest = cast("Any", type("Manifest", (), {"named": {}}))
        self.slots = self
        self.settings = self._counted(settings)
        self.reads = 0

    def _counted(self, settings: Callable[[], NonIsolatedRuns]) -> Callable[[], NonIsolatedRuns]:
        def read() -> NonIsolatedRuns:
            self.reads += 1
            return settings()

        return read

    def holders(self) -> tuple[()]:
        return ()

    def board(self) -> Board:
        return Board(cast("Deployment", self))


def test_many_pages_at_once_are_one_read() -> None:
    table = Table()
    board = table.board()

    async def ask() -> list[TableReading | None]:
        return list(await asyncio.gather(*(board.read() for _ in range(20))))

    assert asyncio.run(ask()) == [TableReading(ON, (), {})] * 20
    assert table.reads == 1


def test_what_is_older_than_a_second_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table()
    board = table.board()

    async def ask_twice() -> None:
        await board.read()
        await board.read()
        assert table.reads == 1
        monkeypatch.setattr(cached_table, "FRESH_SECONDS", 0)
        await board.read()

    asyncio.run(ask_twice())
    assert table.reads == 2


def test_a_table_that_does_not_answer_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cached_table, "PATIENCE_SECONDS", 0.05)
    answers = threading.Event()
    table = Table(lambda: ON if answers.wait(30) else pytest.fail("never asked"))
    board = table.board()

    async def ask() -> None:
        assert set(await asyncio.gather(board.read(), board.read(), board.read())) == {None}
        # It was asked once, and its answer counts when it comes.
        assert table.reads == 1
        answers.set()
        monkeypatch.setattr(cached_table, "PATIENCE_SECONDS", 30)
        assert await board.read() == TableReading(ON, (), {})
        assert table.reads == 1

    asyncio.run(ask())


def test_an_error_is_not_known_and_said_once_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cached_table, "FRESH_SECONDS", 0)
    broken = True

    def settings() -> NonIsolatedRuns:
        if broken:
            raise SettingsError(problem="they are gone.")
        return ON

    table = Table(settings)
    board = table.board()

    async def ask() -> None:
        nonlocal broken
        assert await board.read() is None
        assert await board.read() is None
        broken = False
        assert await board.read() == TableReading(ON, (), {})
        broken = True
        assert await board.read() is None

    asyncio.run(ask())
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert "they are gone." in said[0]
