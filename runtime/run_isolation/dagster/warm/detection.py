"""Finds what makes a fork of this process unsafe, and which module has done it.

A fork has one thread and shares every descriptor: a lock that another thread held is never
released, and two processes talk over one connection.
"""

from __future__ import annotations

import gc
import os
import socket
import sys
import threading
from collections.abc import Set
from dataclasses import dataclass
from typing import Any, Final

from run_isolation.dagster.warm import libraries, linux, owners

_MAGIC: Final = {b"SQLite format 3\0": "SQLite", b"DUCK": "DuckDB"}
"""First bytes of database files (https://www.sqlite.org/fileformat.html), and from the ninth on
(https://duckdb.org/docs/stable/internals/storage.html)."""
_MEND: Final = (
    "Do it in a resource or at first use, not at import; or set warmStart: false for this code "
    "location, which silences this."
)


@dataclass(frozen=True)
class Finding:
    """Something that must not be there before a fork."""

    kind: str
    """``thread``, ``connection``, ``grpc``, ``database`` or ``library``."""
    what: str
    module: str | None = None
    """Where it was found, if it was."""

    def __str__(self) -> str:
        where = f"Module {self.module}" if self.module else "The code location's code"
        return (
            f"Runs are spawned, not forked from a warm process, which takes seconds more: {where} "
            f"has {self.what} at import ({self.kind}). {_MEND}"
        )


@dataclass(frozen=True)
class Before:
    """This process before user code was imported."""

    descriptors: dict[int, str]
    modules: frozenset[str]

    @classmethod
    def look(cls) -> Before:
        """Looks at it."""
        return cls(linux.descriptors(), frozenset(sys.modules))

    def findings(self) -> list[Finding]:
        """What has come since."""
        new = sys.modules.keys() - self.modules
        imported = owners.Owners(new)
        threads = len(linux.threads()) > 1
        causes = [
            *_descriptors(self.descriptors, imported),
            # A channel has threads from its first moment; the search for it looks at every object.
            *(_channels(imported) if threads else []),
            *(
                Finding("library", f"{found.module} initialised ({found.why})")
                for found in libraries.initialised()
            ),
        ]
        if threads:
            _let_libraries_end_theirs()
        # A cause brings threads of its own, which would be no news.
        return [*causes, *_threads(new), *([] if causes else _library_threads())]


def _threads(imported: Set[str]) -> list[Finding]:
    """Those that Python code has started."""
    others = [thread for thread in threading.enumerate() if thread.native_id != os.getpid()]
    return [
        Finding("thread", f"started a thread ({thread.name})", _module(thread, imported))
        for thread in others
    ]


def _module(thread: threading.Thread, imported: Set[str]) -> str | None:
    target: Any = getattr(thread, "_target", None) or type(thread)
    module = getattr(target, "__module__", None)
    return module if module in imported else None


def _library_threads() -> list[Finding]:
    """Those that Python does not know."""
    known = {thread.native_id for thread in threading.enumerate()}
    return [
        Finding("thread", f"started a thread ({name}, of a library)")
        for number, name in linux.threads().items()
        if number not in known
    ]


def _let_libraries_end_theirs() -> None:
    """OpenBLAS, which NumPy brings, ends its threads before each fork (pthread_atfork(3))."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def _descriptors(before: dict[int, str], imported: owners.Owners) -> list[Finding]:
    found = []
    for number, what in linux.descriptors().items():
        if before.get(number) == what:
            continue
        if what.startswith("socket:"):
            found.append(_connection(number, imported))
        elif what.startswith("/") and (kind := _database(number)) is not None:
            found.append(Finding("database", f"opened a {kind} file ({what})"))
    return found


def _connection(number: int, imported: owners.Owners) -> Finding:
    with socket.socket(fileno=os.dup(number)) as connection:
        try:
            peer: object = connection.getpeername()
        except OSError:
            peer = connection.getsockname()
    address = f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) and len(peer) > 1 else str(peer)
    module = imported.of(lambda: [s for s in _sockets() if s.fileno() == number])
    return Finding("connection", f"opened a connection ({address or 'a local socket'})", module)


def _sockets() -> list[socket.socket]:
    return [thing for thing in gc.get_objects() if isinstance(thing, socket.socket)]


def _database(number: int) -> str | None:
    try:
        start = os.pread(number, 16, 0)
    except OSError:
        return None
    return _MAGIC.get(start) or _MAGIC.get(start[8:12])


def _channels(imported: owners.Owners) -> list[Finding]:
    grpc = sys.modules.get("grpc")
    if grpc is None:
        return []
    channels = [thing for thing in gc.get_objects() if isinstance(thing, grpc.Channel)]
    return [
        Finding("grpc", "opened a gRPC channel", imported.of(lambda: [channel]))  # noqa: B023
        for channel in channels
    ]
