"""An independent observer: what the table says, what is alive, and whether the server answers.

It reads the table past the gate, asks the kernel about processes and the server's control port for
its health, and judges nothing: `judge` does, which knows when what was wrong. Run as
`python -m tests.torture.standing.observer DIRECTORY` until SIGTERM.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

from run_isolation import Slots, TableError, aws
from run_isolation.dagster.standing.listeners import SERVICE
from tests.runtime.tables import TABLE
from tests.torture.standing import processes
from tests.torture.standing.ledger import BEGAN, Ledger
from tests.torture.standing.processes import KEEPER, Processes
from tests.waiting import eventually

PAUSE_SECONDS: Final = 0.5
PATIENCE_SECONDS: Final = 20.0
_SOONER: Final = -5
"""Niceness: what it measures is to be the server's time, not its own."""


class Observer:
    """Samples into files of a directory.

    Each line of `samples` has the time, the table's holders, the runs that have a process, those
    that have a keeper, and how many keepers are of runs whose code has not begun; each line of
    `health` the time, how long the answer took, whether it was a good one, and the load per CPU.
    """

    def __init__(self, directory: Path, slots: Slots) -> None:
        self._directory = directory
        self._slots = slots
        self._ledger = Ledger(directory / "ledger")
        self._keepers: dict[tuple[int, int], str] = {}
        """Runs by pid and begin of their keepers."""
        self._new: dict[int, str] = {}
        self._over = threading.Event()

    def run(self) -> None:
        """Observes until SIGTERM."""
        signal.signal(signal.SIGTERM, lambda *_: self._over.set())
        asking = threading.Thread(target=self._ask)
        asking.start()
        with (self._directory / "samples").open("a") as file:
            while not self._over.wait(PAUSE_SECONDS):
                with suppress(TableError):
                    file.write(json.dumps(self._sample()) + "\n")
                    file.flush()
        asking.join()

    def _server(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self._directory / "server").read_text())
        except FileNotFoundError:
            return {}
        return found

    def _sample(self) -> list[Any]:
        server = self._server()
        self._hear()
        before = self._alive(processes.look(), server)
        holders = {holder.run_id for holder in self._slots.holders()}
        after = self._alive(processes.look(), server)
        # In each of both looks, so meanwhile too.
        alive, kept = before[0] & after[0], before[1] | after[1]
        return [time.time(), sorted(holders), sorted(alive), sorted(kept), max(before[2], after[2])]

    def _hear(self) -> None:
        self._new |= {one.keeper: one.run_id for one in self._ledger.new() if one.what == BEGAN}

    def _alive(self, now: Processes, server: dict[str, Any]) -> tuple[set[str], set[str], int]:
        """Runs that have a process, runs that have a keeper, and keepers of unknown runs."""
        for pid in list(self._new):
            if pid in now.by_pid:
                self._keepers[pid, now.by_pid[pid].began] = self._new[pid]
            del self._new[pid]
        living = {
            pid: run_id
            for (pid, began), run_id in self._keepers.items()
            if pid in now.by_pid and now.by_pid[pid].began == began
        }
        kept = {run_id for pid, run_id in living.items() if now.by_pid[pid].alive}
        alive = {
            run_id
            for pid, run_id in living.items()
            if any(process.alive for process in now.below(pid))
        }
        known = set(living)
        below = now.called(server["pid"], KEEPER) if server else []
        return alive, kept, sum(one.pid not in known for one in below)

    def _ask(self) -> None:
        cpus = len(os.sched_getaffinity(0))
        with (self._directory / "health").open("a") as file:
            while not self._over.wait(PAUSE_SECONDS):
                server = self._server()
                if not server:
                    continue
                began = time.time()
                healthy = _is_healthy(server["address"])
                seconds = time.time() - began
                # One that was killed meanwhile owes nobody an answer.
                if self._server() == server:
                    load = os.getloadavg()[0] / cpus
                    file.write(json.dumps([began, seconds, healthy, load]) + "\n")
                    file.flush()


def _is_healthy(address: str) -> bool:
    request = health_pb2.HealthCheckRequest(service=SERVICE)
    try:
        with grpc.insecure_channel(address) as channel:
            answer = HealthStub(channel).Check(request, timeout=PATIENCE_SECONDS)
    except grpc.RpcError:
        return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


@contextmanager
def observing(directory: Path) -> Iterator[None]:
    """Has an observer at work in a process of its own."""
    with (directory / "observer.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(directory)], stdout=log, stderr=log
        )
    try:
        eventually((directory / "samples").exists, (directory / "observer.log").read_text)
        yield
    finally:
        process.terminate()
        process.wait(2 * PATIENCE_SECONDS)


if __name__ == "__main__":
    with suppress(PermissionError):
        os.nice(_SOONER)
    place = Path(sys.argv[1])
    os.environ.update(json.loads((place / "observer").read_text())["environment"])
    Observer(place, Slots(aws.dynamodb(), TABLE)).run()
