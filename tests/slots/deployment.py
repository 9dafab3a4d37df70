"""A deployment around real slots, servers and reconcilers: storage, processes and tasks are a dict.

What is proved is what the library does; Dagster's storage, ECS and operating systems are as simple
as they can be.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from run_isolation import Holder, Slots
from run_isolation.server_identity import ServerIdentity
from run_isolation.slots.reconciler import Reconciler
from run_isolation.standing.hosting import Hosting
from run_isolation.tasks import TaskState
from tests.slots.fork import Fork

LOGGER = logging.getLogger(__name__)


class Status(StrEnum):
    STARTING = "STARTING"
    ISOLATED = "ISOLATED"
    SUSPENDED = "SUSPENDED"
    ENDED = "ENDED"


@dataclass
class Server:
    """One standing task. What it knows about slots is the library's own ``Hosting``."""

    identity: ServerIdentity
    hosting: Hosting[str]
    processes: dict[str, None] = field(default_factory=dict)
    """A set in the order of starts, so that what is random repeats itself."""
    silent: bool = False
    dead: bool = False

    def start(self, run_id: str, attempt: int) -> str:
        def fork() -> None:
            self.processes[run_id] = None

        return self.hosting.start(run_id, attempt, Fork(fork))

    def process_ends(self, run_id: str) -> None:
        """The process is over; the server sees it and gives the slot back, or tries to."""
        self.processes.pop(run_id, None)
        self.hosting.ended(run_id)
        self.hosting._releases.submit(lambda: None).result()


class Deployment:
    """Storage, tasks and servers; the three sources of a reconciler."""

    def __init__(self) -> None:
        self.runs: dict[str, Status] = {}
        """Dagster's storage; deleted runs are missing."""
        self.servers: list[Server] = []
        """The one at each address."""
        self.stopped: set[str] = set()
        self._numbers = itertools.count(1)

    def add_server(
        self, slots: Callable[[], Slots], address: str, hosting: type[Hosting[str]] = Hosting
    ) -> Server:
        identity = ServerIdentity(f"arn:task/{next(self._numbers)}", address)
        server = Server(identity, hosting(identity, slots, LOGGER))
        self.servers = [each for each in self.servers if each.identity.address != address]
        self.servers.append(server)
        return server

    def kill(self, server: Server) -> None:
        """The container is gone with all its processes, and ECS knows."""
        server.dead = True
        server.processes.clear()
        self.stopped.add(server.identity.task_arn)

    @property
    def processes(self) -> dict[str, Server]:
        """Runs that are really alive."""
        return {run: server for server in self.servers for run in server.processes}

    def at(self, address: str) -> Server:
        return next(each for each in self.servers if each.identity.address == address)

    def over(self, holders: Sequence[Holder]) -> Mapping[Holder, str]:
        known = {holder: self.runs.get(holder.run_id) for holder in holders}
        return {holder: str(status) for holder, status in known.items() if status != "STARTING"}

    def current_runs(self, server: ServerIdentity) -> frozenset[str] | None:
        there = self.at(server.address)
        if there.silent or there.dead:
            return None
        if there.identity != server:
            return frozenset()
        return there.hosting.starting().union(there.processes)

    def states(self, task_arns: Collection[str]) -> Mapping[str, TaskState]:
        return {
            arn: TaskState(arn, "STOPPED" if arn in self.stopped else "RUNNING")
            for arn in task_arns
        }

    def reconciler(
        self, slots: Slots, clock: Callable[[], float], kind: type[Reconciler] = Reconciler
    ) -> Reconciler:
        return kind(slots, self, self, self, LOGGER, clock)
