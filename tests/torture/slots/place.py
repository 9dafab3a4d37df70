"""What the processes of a torture share: files of one directory."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from run_isolation import Holder
from run_isolation.server_identity import ServerIdentity
from run_isolation.tasks import TaskState
from tests.torture.slots.seats import Board, Seats

TABLE: Final = "run-isolation-torture-slots"
STARTING: Final = "STARTING"
STARTED: Final = "STARTED"
ISOLATED: Final = "ISOLATED"
GOING_ON: Final = {STARTING, STARTED}


@dataclass(frozen=True)
class Place:
    """The directory."""

    directory: Path

    def create(self, launchers: int) -> None:
        """Lays it out."""
        self.seats.create()
        Board.create(self.directory / "launching", launchers)
        (self.directory / "stopped").mkdir()
        with closing(self.connect()) as database:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("CREATE TABLE runs (run_id TEXT PRIMARY KEY, status TEXT)")

    @property
    def seats(self) -> Seats:
        """Of the run processes."""
        return Seats(self.directory)

    @property
    def launching(self) -> Board:
        """Which run each launcher is at work on."""
        return Board(self.directory / "launching")

    @cached_property
    def runs(self) -> Runs:
        """This process's connection to the storage. Not to be used on both sides of a fork."""
        return Runs(self.connect())

    def note(self, what: str, text: str) -> None:
        """Adds a line to a log. Lines of several processes do not mix."""
        log = os.open(self.directory / what, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(log, f"{text}\n".encode())
        os.close(log)

    def notes(self, what: str) -> list[str]:
        """The lines of a log."""
        path = self.directory / what
        return path.read_text().splitlines() if path.exists() else []

    def publish(self, servers: Mapping[str, str]) -> None:
        """Tells the present servers: addresses by task."""
        new = self.directory / "servers.new"
        new.write_text(json.dumps(servers))
        new.replace(self.directory / "servers")

    def servers(self) -> list[ServerIdentity]:
        """The present servers."""
        servers: dict[str, str] = json.loads((self.directory / "servers").read_text())
        return [ServerIdentity(task, address) for task, address in servers.items()]

    def note_stopped(self, task: str) -> None:
        """Tells that nothing is left of a task."""
        (self.directory / "stopped" / task).touch()

    def states(self, task_arns: Collection[str]) -> dict[str, TaskState]:
        """ECS's part."""
        gone = {arn: self.stopped(arn) for arn in task_arns}
        return {arn: TaskState(arn, "STOPPED" if gone[arn] else "RUNNING") for arn in gone}

    def stopped(self, task: str) -> bool:
        """Whether nothing is left of a task."""
        return (self.directory / "stopped" / task).exists()

    def connect(self) -> sqlite3.Connection:
        """A new connection to the storage."""
        path = self.directory / "runs.sqlite"
        database = sqlite3.connect(path, timeout=60, isolation_level=None)
        database.execute("PRAGMA synchronous = OFF")
        return database


@dataclass(frozen=True)
class Runs:
    """The part of Dagster's storage that decides about slots."""

    database: sqlite3.Connection

    def create(self, run_id: str) -> None:
        """Stores a run that is about to be launched."""
        self.database.execute("INSERT INTO runs VALUES (?, ?)", (run_id, STARTING))

    def change(self, run_id: str, status: str, *before: str) -> bool:
        """Stores its new status if it had one of those before, or any where none is given.

        Returns:
            Whether it was changed. A deleted run is not.
        """
        known = f"AND status IN ({', '.join('?' * len(before))})" if before else ""
        update = f"UPDATE runs SET status = ? WHERE run_id = ? {known}"
        return self.database.execute(update, (status, run_id, *before)).rowcount == 1

    def delete(self, run_id: str) -> None:
        """Deletes a run."""
        self.database.execute("DELETE FROM runs WHERE run_id = ?", (run_id,))

    def over(self, holders: Sequence[Holder]) -> dict[Holder, str]:
        """The reconciler's question."""
        marks = ", ".join("?" * len(holders))
        found = self.database.execute(
            f"SELECT run_id, status FROM runs WHERE run_id IN ({marks})",
            [holder.run_id for holder in holders],
        )
        known = dict(found.fetchall())
        whys = {holder: known.get(holder.run_id, "deleted") for holder in holders}
        return {holder: why for holder, why in whys.items() if why not in GOING_ON}
