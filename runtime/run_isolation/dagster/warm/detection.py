"""Finds what makes a fork of this process unsafe, and which module has done it.

Runs in: server, when it has imported user code.

A fork has one thread and shares every descriptor: a lock that another thread held is never
released, and two processes talk over one connection.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from run_isolation.dagster.processes import linux
from run_isolation.dagster.warm import libraries
from run_isolation.dagster.warm.blame import Blame
from run_isolation.dagster.warm.exit_handlers import ExitHandlers
from run_isolation.dagster.warm.seeds import Seeds

_MAGIC: Final = (
    (0, b"SQLite format 3\0", "SQLite"),  # https://www.sqlite.org/fileformat.html
    (8, b"DUCK", "DuckDB"),  # https://duckdb.org/docs/stable/internals/storage.html
    # "Do not use LMDB environments after fork()" (http://www.lmdb.tech/doc/). MDB_MAGIC of mdb.c,
    # after the head of the first page.
    (16, (0xBEEFC0DE).to_bytes(4, sys.byteorder), "LMDB"),
    # https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html
    (0, b"\x89HDF\r\n\x1a\n", "HDF5"),
)
"""Where in a file a library's own bytes are: those of libraries that keep in memory what they know
of an open file, so that two processes with one file between them do not know of each other."""
_EPOLL: Final = "anon_inode:[eventpoll]"
"""Two processes that share one get each other's events (epoll(7))."""
_MEND: Final = (
    "Do it in a resource or at first use, not at import; or set warmStart: false for this code "
    "location, which silences this."
)


@dataclass(frozen=True)
class Finding:
    """Something that must not be there before a fork."""

    kind: str
    """``thread``, ``connection``, ``process``, ``event loop``, ``grpc``, ``database`` or
    ``library``."""
    what: str
    module: str | None = None
    """With whose import it came, if that is known."""

    def __str__(self) -> str:
        where = f"Module {self.module}" if self.module else "The code location's code"
        return (
            f"Runs are spawned, not forked from a warm process, which takes seconds more: {where} "
            f"has {self.what} at import ({self.kind}). {_MEND}"
        )


@dataclass(frozen=True)
class Import:
    """An import of user code into this process.

    Attributes:
        exit_handlers: That it has registered.
        seeds: Of random number generators.
    """

    _before: dict[int, str]
    _blame: Blame
    exit_handlers: ExitHandlers = field(default_factory=ExitHandlers)
    seeds: Seeds = field(default_factory=Seeds)

    @classmethod
    @contextmanager
    def watched(cls) -> Iterator[Import]:
        """The one that is made meanwhile."""
        watched = cls(linux.descriptors(), Blame())
        with (
            watched._blame.imports(),
            watched.exit_handlers.watched(watched._blame.importing),
            watched.seeds.watched(),
        ):
            yield watched

    def findings(self) -> list[Finding]:
        """What has come with it, and stays."""
        if not libraries.fork_for_trial():
            what = "a library whose handler of os.fork() does not return"
            return [Finding("library", f"loaded {what}")]
        if any(what.startswith("socket:") for what in self._opened().values()):
            libraries.close_idle_connections()
        found = [*self._channels(), *self._descriptors(), *_initialised()]
        # What a cause brings with it would be no news.
        brought = [] if found else [*self._event_loops(), *self._library_threads()]
        return [*found, *brought, *self._threads()]

    def _opened(self) -> dict[int, str]:
        now = linux.descriptors().items()
        return {number: what for number, what in now if self._before.get(number) != what}

    def _channels(self) -> list[Finding]:
        # A channel has threads from its first moment; the search for it looks at every object.
        grpc = sys.modules.get("grpc")
        if grpc is None or not _unknown_threads() or not libraries.objects(grpc.Channel):
            return []
        # Its threads end before a fork and start anew after it.
        return [Finding("grpc", "opened a gRPC channel", name) for name in self._epolls()]

    def _descriptors(self) -> list[Finding]:
        found = []
        opened = self._opened()
        children = _pipes_of_children()
        for number, what in opened.items():
            module = self._blame.of_descriptor(number, what)
            if child := children.get(what):
                talks = f"started a process and has a pipe to it (`{child}`)"
                found.append(Finding("process", talks, module))
            if what.startswith("socket:"):
                address = _address(number)
                # An event loop has a pair of nameless sockets to wake itself.
                if address or _EPOLL not in opened.values():
                    opener = f"opened a connection ({address or 'a local socket'})"
                    found.append(Finding("connection", opener, module))
            elif what.startswith("/") and (kind := _database(number)) is not None:
                found.append(Finding("database", f"opened a {kind} file ({what})", module))
        return list(dict.fromkeys(found))  # a process may have three pipes

    def _event_loops(self) -> list[Finding]:
        what = "opened an event loop (epoll)"
        return [Finding("event loop", what, name) for name in self._epolls()]

    def _epolls(self) -> set[str | None]:
        """The modules that have opened one."""
        opened = self._opened().items()
        return {self._blame.of_descriptor(*entry) for entry in opened if entry[1] == _EPOLL}

    def _threads(self) -> list[Finding]:
        """Those that Python code has started."""
        return [
            Finding("thread", f"started a thread ({thread.name})", self._blame.of_thread(number))
            for thread in threading.enumerate()
            if (number := thread.native_id) is not None and number != os.getpid()
        ]

    def _library_threads(self) -> list[Finding]:
        """Those that Python does not know, a line for each module: there is one for each CPU."""
        names: defaultdict[str | None, Counter[str]] = defaultdict(Counter)
        for number, name in _unknown_threads().items():
            names[self._blame.of_thread(number)][name] += 1
        return [
            Finding("thread", f"started threads of a library ({_told(counted)})", module)
            for module, counted in names.items()
        ]


def _unknown_threads() -> dict[int, str]:
    known = {thread.native_id for thread in threading.enumerate()}
    return {number: name for number, name in libraries.threads().items() if number not in known}


def _told(counted: Counter[str]) -> str:
    return ", ".join(f"{n} x {name}" if n > 1 else name for name, n in counted.items())


def _initialised() -> list[Finding]:
    return [
        Finding("library", f"{found.module} initialised ({found.why})")
        for found in libraries.initialised()
    ]


def _address(number: int) -> str:
    """The other end's, or its own; empty if it has no name."""
    with socket.socket(fileno=os.dup(number)) as connection:
        try:
            peer: object = connection.getpeername()
        except OSError:
            peer = connection.getsockname()
    return f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) and len(peer) > 1 else str(peer)


def _pipes_of_children() -> dict[str, str]:
    """Pipes that children of this process have, in the words of ``linux.descriptors``, and which.

    What a fork writes there, or reads from it, another one takes for its own.
    """
    return {
        what: linux.command(child)
        for child in linux.descendants(os.getpid())
        if not linux.is_over(child)
        for what in linux.descriptors(child).values()
        if what.startswith("pipe:")
    }


def _database(number: int) -> str | None:
    try:
        start = os.pread(number, 20, 0)
    except OSError:
        return None
    found = (name for at, magic, name in _MAGIC if start[at : at + len(magic)] == magic)
    return next(found, None)
