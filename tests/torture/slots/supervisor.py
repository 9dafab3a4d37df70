"""The processes of a torture, and what is done to them."""

from __future__ import annotations

import ctypes
import heapq
import itertools
import os
import random
import signal
import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from types_boto3_dynamodb import DynamoDBClient

from run_isolation.server_identity import ServerIdentity
from tests.slots.parts import Parts
from tests.torture.slots.launcher import launch_for_ever, reconcile_for_ever
from tests.torture.slots.observer import observe_for_ever
from tests.torture.slots.place import Place, Runs
from tests.torture.slots.standing import serve
from tests.torture.slots.weather import LATEST_SECONDS, blow
from tools.dynamodb_local import DynamoDBLocal
from tools.ports import free_port

_PR_SET_CHILD_SUBREAPER: Final = 36
RECONCILE_SECONDS: Final = 0.5
ABANDONED_SECONDS: Final = 5.0
"""Less than a launch may take, so that launches are given up that go on all the same."""


@dataclass(frozen=True)
class Plan:
    """How a torture goes."""

    seed: int
    acquires: int
    launchers: int
    servers: int
    limit: int
    run_seconds: float
    """Mean time that a run works."""
    pause_seconds: float
    """Mean time between two acts of violence."""
    most_seconds: float
    """After which it ends, however many acquires there were."""
    ends_with_failure: bool
    """Whether it ends as soon as more runs are alive than may be."""


@dataclass(frozen=True)
class Clients:
    """Made before the first fork, for making one takes long; none has a connection by then."""

    direct: DynamoDBClient
    through: DynamoDBClient
    proxy_port: int


class Supervisor:
    """Starts all processes, replaces the dead, and kills."""

    def __init__(
        self, plan: Plan, parts: Parts, directory: Path, database: DynamoDBLocal, clients: Clients
    ) -> None:
        self.plan = plan
        self.parts = parts
        self.place = Place(directory)
        self.database = database
        self.clients = clients
        self.chance = random.Random(plan.seed)
        self.launchers: dict[int, int] = {}
        self.reconcilers: set[int] = set()
        self.servers: dict[int, ServerIdentity] = {}
        self.violence: dict[str, int] = {}
        self._calm = False
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = itertools.count(1)
        self._forked = itertools.count()
        # Runs whose server was killed become ours, so that we see when they are gone.
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)

    def start(self) -> None:
        """Starts everything."""
        self.weather = self.fork(blow, self.database.port, self.clients.proxy_port, self._seed())
        self.observer = self.fork(observe_for_ever, self.clients.direct, self.place.directory)
        for _ in range(self.plan.servers):
            self.start_server(f"127.0.0.1:{free_port()}")
        for _ in range(self.parts.reconcilers):
            self.start_reconciler()
        for number in range(self.plan.launchers):
            self.start_launcher(number)

    def run(self, progress: Callable[[int], object]) -> None:
        """Torments until there were enough acquires."""
        end = time.monotonic() + self.plan.most_seconds
        self._later(self.plan.pause_seconds, self._torment)
        while (done := self.place.notes("launches").count("acquired")) < self.plan.acquires:
            if time.monotonic() > end or self._proved():
                break
            progress(done)
            self._tick_until(time.monotonic() + 0.4)
        (self.place.directory / "stop").touch()

    def _proved(self) -> bool:
        """Whether what must fail has failed: nothing more is to be seen."""
        alive = self.place.notes("alive")
        return self.plan.ends_with_failure and any(int(count) > self.plan.limit for count in alive)

    def calm_down(self, seconds: float, is_quiet: Callable[[], bool]) -> None:
        """No more violence; waits until launchers are done and it is quiet, or the time is over."""
        self._calm = True
        os.kill(self.weather, signal.SIGUSR1)
        begin = time.monotonic()
        if self._proved():
            return
        self._tick_until(begin + LATEST_SECONDS + 1)
        while time.monotonic() < begin + seconds and (self.launchers or not is_quiet()):
            self._tick_until(time.monotonic() + 0.2)

    def stop(self) -> None:
        """Ends everything."""
        os.kill(self.observer, signal.SIGTERM)
        os.waitpid(self.observer, 0)
        for pid in self.servers:
            _end_group(pid)
        for pid in [*self.launchers, *self.reconcilers, self.weather]:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    def _tick_until(self, end: float) -> None:
        """Does what is due, buries the dead and replaces them, until then."""
        while time.monotonic() < end:
            while self._due and self._due[0][0] <= time.monotonic():
                heapq.heappop(self._due)[2]()
            self._bury()
            time.sleep(0.02)

    def start_launcher(self, number: int) -> None:
        """Launchers are numbered, as their places on the board are."""
        self.place.launching.write(number, "")
        seconds = self.plan.run_seconds
        arguments = (self.parts, self.clients.through, self.place.directory, number, seconds)
        self.launchers[self.fork(launch_for_ever, *arguments, self._seed())] = number

    def start_reconciler(self) -> None:
        """Two work at once, as when a daemon is replaced."""
        arguments = (self.parts, self.clients.through, self.place.directory)
        times = (RECONCILE_SECONDS, ABANDONED_SECONDS)
        self.reconcilers.add(self.fork(reconcile_for_ever, *arguments, *times))

    def start_server(self, address: str) -> None:
        """A new task at an address."""
        identity = ServerIdentity(f"task-{next(self._numbers)}", address)
        arguments = (self.parts, self.clients.through, self.place.directory, identity)
        pid = self.fork(serve, *arguments, group=True)
        self.servers[pid] = identity
        self.place.publish({each.task_arn: each.address for each in self.servers.values()})

    def fork(self, work: Callable[..., None], *arguments: object, group: bool = False) -> int:
        """Forks a process that does the work and ends."""
        pid = os.fork()
        if pid:
            return pid
        try:
            if group:
                os.setsid()
            work(*arguments)
            os._exit(0)
        except BaseException:
            self.place.note("crashes", traceback.format_exc())
            os._exit(1)

    def _bury(self) -> None:
        with suppress(ChildProcessError):
            while (pid := os.waitpid(-1, os.WNOHANG)[0]) != 0:
                self._replace(pid)

    def _replace(self, pid: int) -> None:
        if pid in self.launchers:
            number = self.launchers.pop(pid)
            self.place.launching.write(number, "")
            if not self._calm:
                self.start_launcher(number)
        elif pid in self.reconcilers:
            self.reconcilers.discard(pid)
            self.start_reconciler()
        elif pid in self.servers:
            identity = self.servers.pop(pid)
            # A container ends with its first process: the others are killed, and then it is over.
            _end_group(pid)
            self.place.note_stopped(identity.task_arn)
            self.start_server(identity.address)

    def _torment(self) -> None:
        if self._calm:
            return
        acts: dict[Callable[[], bool], float] = {
            self._kill_launcher: 8,
            self._kill_run: 8,
            self._kill_server: 2,
            self._stop_server: 3,
            self._kill_reconciler: 2,
            self._storage_forgets: 6,
            self._database_restarts: 0.3,
        }
        act = self.chance.choices(list(acts), list(acts.values()))[0]
        if act():
            name = act.__name__.strip("_").replace("_", " ")
            self.violence[name] = self.violence.get(name, 0) + 1
        self._later(self.chance.expovariate(1 / self.plan.pause_seconds), self._torment)

    def _kill_launcher(self) -> bool:
        return self._signal(self._any(self.launchers), signal.SIGKILL)

    def _kill_run(self) -> bool:
        return self._signal(self._any(self.place.seats.alive().values()), signal.SIGKILL)

    def _kill_server(self) -> bool:
        return self._signal(self._any(self.servers), signal.SIGKILL)

    def _kill_reconciler(self) -> bool:
        return self._signal(self._any(self.reconcilers), signal.SIGKILL)

    def _stop_server(self) -> bool:
        pid = self._any(self.servers)
        seconds = self.chance.uniform(0.5, 8)
        self._later(seconds, lambda: self._signal(pid, signal.SIGCONT))
        return self._signal(pid, signal.SIGSTOP)

    def _storage_forgets(self) -> bool:
        """A run is deleted, or marked as canceled, while its process goes on."""
        runs = list(self.place.seats.alive())
        if not runs:
            return False
        run = self.chance.choice(runs)
        # A connection that is open must not be there when the next process is forked.
        with closing(self.place.connect()) as database:
            if self.chance.random() < 0.5:
                Runs(database).delete(run)
            else:
                Runs(database).change(run, "CANCELED")
        return True

    def _database_restarts(self) -> bool:
        self.database.restart()
        return True

    def _any(self, pids: Iterable[int]) -> int:
        options = list(pids)
        return self.chance.choice(options) if options else 0

    def _signal(self, pid: int, number: signal.Signals) -> bool:
        if not pid:
            return False
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        return True

    def _later(self, seconds: float, action: Callable[[], object]) -> None:
        heapq.heappush(self._due, (time.monotonic() + seconds, next(self._numbers), action))

    def _seed(self) -> str:
        return f"{self.plan.seed}-{next(self._forked)}"


def _end_group(group: int) -> None:
    """Kills a group of processes and waits until none is left."""
    while True:
        try:
            os.killpg(group, signal.SIGKILL)
            os.waitpid(-group, os.WNOHANG)
        except (ProcessLookupError, ChildProcessError):
            return
        time.sleep(0.002)
