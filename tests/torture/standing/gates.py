"""Gates before storage and table: while one is closed all that is sent waits, as in a black hole.

Each is a TCP proxy. `python -m tests.torture.standing.gates PORT:TARGET ...` serves them in a
process of its own, which takes no CPU time from who is measured, and reads `close 0` or `open 0`
from its standard input.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Lock
from typing import Final

_CHUNK: Final = 65_536
_LOST: Final = (OSError, asyncio.IncompleteReadError)


class _Gate:
    def __init__(self, target: int) -> None:
        self.target = target
        self.is_open = asyncio.Event()
        self.is_open.set()

    async def serve(self, port: int) -> None:
        await asyncio.start_server(self._connected, "127.0.0.1", port)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(*_LOST):
            await self.is_open.wait()
            theirs, to_them = await asyncio.open_connection("127.0.0.1", self.target)
            await asyncio.gather(self._pass(reader, to_them), self._pass(theirs, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(*_LOST):
            while chunk := await reader.read(_CHUNK):
                await self.is_open.wait()
                writer.write(chunk)
                await writer.drain()
        writer.close()


@dataclass
class Gates:
    """Those of a torture, as who opens and closes them has them."""

    process: subprocess.Popen[str]
    _lock: Lock

    def close(self, number: int) -> None:
        """Nothing passes any more."""
        self._say(f"close {number}")

    def open(self, number: int) -> None:
        """All passes, and what has waited does so first."""
        self._say(f"open {number}")

    def _say(self, what: str) -> None:
        assert self.process.stdin is not None
        with self._lock:
            self.process.stdin.write(f"{what}\n")
            self.process.stdin.flush()


@contextmanager
def gates(ports: Sequence[tuple[int, int]]) -> Iterator[Gates]:
    """Serves: each port leads to its target. Gates are numbered in this order."""
    command = [sys.executable, "-m", __name__, *(f"{port}:{target}" for port, target in ports)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline(), "the gates do not open"
        yield Gates(process, Lock())
    finally:
        process.kill()
        process.wait()


async def _main(ports: Sequence[str]) -> None:
    made = []
    for pair in ports:
        port, target = pair.split(":")
        made.append(_Gate(int(target)))
        await made[-1].serve(int(port))
    print("ready", flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        what, number = line.split()
        gate = made[int(number)].is_open
        gate.set() if what == "open" else gate.clear()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1:]))
