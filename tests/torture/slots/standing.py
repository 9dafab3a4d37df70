"""A standing server: the library's own Hosting, with real processes, behind a socket.

A second process, forked before there is any thread, forks the runs and tells when they are over.
"""

from __future__ import annotations

import json
import logging
import os
import random
import select
import socket
import socketserver
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from types_boto3_dynamodb import DynamoDBClient

from run_isolation.server_identity import ServerIdentity
from tests.slots.fork import Fork
from tests.slots.parts import Parts
from tests.torture.slots.place import ISOLATED, STARTED, STARTING, TABLE, Place

ANSWER_SECONDS: Final = 5


def serve(parts: Parts, client: DynamoDBClient, directory: Path, identity: ServerIdentity) -> None:
    """Serves until it is killed."""
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        ours.close()
        _fork_runs(theirs, Place(directory))
    theirs.close()
    port = int(identity.address.partition(":")[2])
    with _Server(("127.0.0.1", port), parts, client, identity, ours) as server:
        server.serve_forever()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(
        self,
        address: tuple[str, int],
        parts: Parts,
        client: DynamoDBClient,
        identity: ServerIdentity,
        forker: socket.socket,
    ) -> None:
        self.identity = identity
        slots = parts.slots(client, TABLE)
        self.hosting = parts.hosting(identity, lambda: slots, logging.getLogger(__name__))
        self.processes: set[str] = set()
        self.forker = forker
        threading.Thread(target=self._watch, daemon=True).start()
        super().__init__(address, _Handler)

    def start(self, run_id: str, attempt: int, seconds: float) -> str:
        """Says ``started`` or why it does not."""

        def fork() -> None:
            self.processes.add(run_id)
            self.forker.sendall(f"{run_id} {seconds}\n".encode())

        return self.hosting.start(run_id, attempt, Fork(fork))

    def _watch(self) -> None:
        for line in self.forker.makefile():
            self.processes.discard(line.strip())
            self.hosting.ended(line.strip())


class _Handler(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        line = self.rfile.readline()
        if not line.endswith(b"\n"):
            return  # the caller was killed
        asked: dict[str, Any] = json.loads(line)
        if asked["task"] != self.server.identity.task_arn:
            answer: object = {"replaced": True}
        elif "run" in asked:
            answer = {"start": self.server.start(asked["run"], asked["attempt"], asked["seconds"])}
        else:
            starting = self.server.hosting.starting()
            answer = {"runs": [*starting, *list(self.server.processes)]}
        with suppress(OSError):
            self.wfile.write(json.dumps(answer).encode() + b"\n")


def ask(server: ServerIdentity, **question: object) -> dict[str, Any]:
    """One call to a server.

    Raises:
        OSError: No answer. It may have been carried out.
    """
    host, _, port = server.address.partition(":")
    with socket.create_connection((host, int(port)), timeout=ANSWER_SECONDS) as connection:
        connection.sendall(json.dumps({"task": server.task_arn, **question}).encode() + b"\n")
        line = connection.makefile().readline()
    if not line.endswith("\n"):
        raise ConnectionError(f"{server.address} closed the connection")
    answer: dict[str, Any] = json.loads(line)
    return answer


class Servers:
    """The reconciler's question."""

    def current_runs(self, server: ServerIdentity) -> frozenset[str] | None:
        """As the servers say."""
        try:
            answer = ask(server)
        except OSError:
            return None
        return frozenset(answer.get("runs", ()))


def _fork_runs(server: socket.socket, place: Place) -> None:
    """Forks a process for each line, and tells which ones are over."""
    names: dict[int, str] = {}
    waiting = b""
    while True:
        if select.select([server], [], [], 0.02)[0]:
            try:
                received = server.recv(65536)
            except ConnectionError:
                received = b""
            if not received:
                os._exit(0)  # the server was killed
            *lines, waiting = (waiting + received).split(b"\n")
            for line in lines:
                run_id, seconds = line.decode().split()
                pid = os.fork()
                if pid == 0:
                    server.close()
                    _run(place, run_id, float(seconds))
                names[pid] = run_id
        while names:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            with suppress(OSError):
                server.sendall(f"{names.pop(pid)}\n".encode())


def _run(place: Place, run_id: str, seconds: float) -> None:
    """A run: it says that it is alive, works, says in storage that it is over, and lingers."""
    alive = place.seats.take(run_id)
    place.note("alive", str(alive))
    # As Dagster's own: one that was canceled or deleted meanwhile does not begin.
    if place.runs.change(run_id, STARTED, STARTING, ISOLATED):
        place.note("executions", run_id)
        time.sleep(seconds)
        place.runs.change(run_id, "SUCCESS")
    time.sleep(random.Random(run_id).choice([0, 0, 0.05, 0.3]))
    os._exit(0)
