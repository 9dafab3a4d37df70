"""Who is really alive: each run process holds a lock that the kernel takes back when it is gone.

A seat is one byte of a file, locked by the process that sits on it. Taking a seat counts those that
are taken, under a lock of its own, so no process is ever counted that was not alive at that moment.
"""

from __future__ import annotations

import fcntl
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SEATS: Final = 64
_NAME: Final = 64
"""Bytes that a name takes on the board."""
_FLOCK: Final = "hhqqi"
"""struct flock of 64-bit Linux (fcntl(2)): type, whence, start, length, pid."""


@dataclass(frozen=True)
class Board:
    """Names by number, which other processes can read: who sits on a seat, what a launcher does."""

    path: Path

    def write(self, number: int, name: str) -> None:
        """Writes a name, in one piece."""
        with self.path.open("r+b") as file:
            os.pwrite(file.fileno(), name.encode().ljust(_NAME, b"\0"), number * _NAME)

    def read(self) -> list[str]:
        """All names; empty ones where there is none."""
        content = self.path.read_bytes()
        pieces = (content[at : at + _NAME] for at in range(0, len(content), _NAME))
        return [piece.rstrip(b"\0").decode() for piece in pieces]

    @classmethod
    def create(cls, path: Path, size: int) -> Board:
        """An empty board."""
        path.write_bytes(bytes(size * _NAME))
        return cls(path)


@dataclass(frozen=True)
class Seats:
    """The seats below a directory."""

    directory: Path

    def create(self) -> None:
        """Empty seats."""
        (self.directory / "seats").write_bytes(bytes(SEATS))
        (self.directory / "guard").touch()
        Board.create(self.directory / "sitters", SEATS)

    def take(self, name: str) -> int:
        """Takes a seat until the end of this process. Returns how many are taken, this one too."""
        guard = os.open(self.directory / "guard", os.O_RDWR)
        fcntl.flock(guard, fcntl.LOCK_EX)
        # Never closed: closing any descriptor of a file drops the process's locks on it.
        seats = os.open(self.directory / "seats", os.O_RDWR)
        taken = _taken(seats)
        free = next(number for number in range(SEATS) if number not in taken)
        # The name first: whoever finds a seat taken must not read the name of the one before.
        Board(self.directory / "sitters").write(free, name)
        fcntl.lockf(seats, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, free)
        os.close(guard)
        return len(taken) + 1

    def alive(self) -> dict[str, int]:
        """Process ids by name. Not for processes that have a seat themselves."""
        with (self.directory / "seats").open("r+b") as file:
            taken = _taken(file.fileno())
        names = Board(self.directory / "sitters").read()
        return {names[number]: pid for number, pid in taken.items()}


def _taken(seats: int) -> dict[int, int]:
    """Process ids by seat."""
    taken = {}
    for number in range(SEATS):
        asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, number, 1, 0)
        kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(seats, fcntl.F_GETLK, asked))
        if kind != fcntl.F_UNLCK:
            taken[number] = pid
    return taken
