"""The code servers that are measured, each in a container of its own, on a Dagster home."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Final

import psutil
from dagster._api.snapshot_sensor import sync_get_external_sensor_execution_data_grpc

from bench.launch.place import Storage, opened_storage
from run_isolation.dagster.warm import template
from tests.code_server.container import Limits
from tests.code_server.runs import Runs, new_home, runs_of
from tests.code_server.servers import DAGSTER, WARM, CodeServer, Kind, serving
from tests.waiting import eventually

LOCATION: Final = Path(__file__).parent / "location"
TARGET: Final = ("-m", "standing")
OURS: Final = WARM.name
PEER: Final = DAGSTER.name
WARM_SECONDS: Final = 60


@dataclass(frozen=True)
class Start:
    """One start of a server.

    Attributes:
        ready: Seconds from its command to a health check that says SERVING.
        warm: Seconds from then to its template; None without one.
        idle_mib: Memory of all its processes, when it serves and is asked nothing.
    """

    ready: float
    warm: float | None
    idle_mib: float


@dataclass(frozen=True)
class Contender:
    """One kind of server, which can be started again and again.

    Attributes:
        kind: Which.
        home: Its Dagster home.
        limits: Of its container.
        directory: For logs.
    """

    kind: Kind
    home: Path
    limits: Limits | None
    directory: Path

    @contextmanager
    def serving(self, environment: Mapping[str, str] | None = None) -> Iterator[Runs]:
        """Starts it, with more variables in its environment if need be."""
        log = self.directory / f"{self.kind.name.replace(' ', '-')}.log"
        variables = {"DAGSTER_HOME": str(self.home), **(environment or {})}
        with (
            serving(
                self.kind, LOCATION, TARGET, log, limits=self.limits, environment=variables
            ) as started,
            runs_of(started, self.home) as runs,
        ):
            yield runs

    def start(self) -> Start:
        """Starts it, looks at it, and ends it."""
        log = self.directory / f"{self.kind.name.replace(' ', '-')}-start.log"
        ready: list[float] = []

        def serves(one: CodeServer) -> bool:
            healthy = one.is_healthy()
            if healthy:
                ready.append(time.time() - one.began)
            return healthy

        with serving(
            *(self.kind, LOCATION, TARGET, log),
            limits=self.limits,
            environment={"DAGSTER_HOME": str(self.home)},
            ready=serves,
        ) as started:
            warm = _warm_after(started, ready[0]) if self.kind is WARM else None
            started.client.list_repositories()
            return Start(ready[0], warm, started.container.memory_mib())


def _warm_after(started: CodeServer, ready: float) -> float | None:
    """Seconds from ready to the template, 0 where it was there before; None: it never came."""

    def found() -> psutil.Process | None:
        names = {process.name(): process for process in started.container.processes()}
        return names.get(template.NAME)

    try:
        eventually(found, "a template", WARM_SECONDS)
    except TimeoutError:
        return None
    return max(0.0, time.time() - started.began - ready)


@contextmanager
def contenders(directory: Path, limits: Limits | None) -> Iterator[tuple[list[Contender], str]]:
    """Both, on one database server, with a database each; and the storage's name."""
    with opened_storage(directory) as storage:
        numbers = count()
        make: Callable[[Kind], Contender] = partial(_contender, directory, limits, storage, numbers)
        yield [make(WARM), make(DAGSTER)], storage.name


def _contender(
    directory: Path, limits: Limits | None, storage: Storage, numbers: Iterator[int], kind: Kind
) -> Contender:
    name = f"contender_{next(numbers)}"
    home = new_home(directory / name, storage.new(name))
    return Contender(kind, home, limits, directory)


def tick(runs: Runs) -> float:
    """Seconds that a sensor's evaluation takes, as the daemon asks for it."""
    began = time.perf_counter()
    sync_get_external_sensor_execution_data_grpc(
        *(runs.server.client, runs.instance, runs.repository.handle, "tick"),
        last_tick_completion_time=None,
        last_run_key=None,
        cursor=None,
        log_key=None,
    )
    return time.perf_counter() - began


def until(op: str, lock: Path) -> Mapping[str, Any]:
    """Run config of an op that goes on while the file is locked."""
    return {"ops": {op: {"config": {"lock": str(lock)}}}}
