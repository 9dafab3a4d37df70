"""Launches runs, torments them, and waits until all is quiet."""

from __future__ import annotations

import heapq
import itertools
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from dagster import DagsterRunStatus, RunsFilter

from tests.e2e.programs import Program
from tests.torture.launches.plan import Plan
from tests.torture.launches.troubles import Act, Blow, Launch, Place, draw
from tests.torture.launches.world import World

QUIET_SECONDS: Final = 150
"""How long after the last launch all may take to be over: two start timeouts, and more."""
LOOK_SECONDS: Final = 0.5
NO_BLOW: Final = Blow(step=0)
_STANDING_SHARE: Final = 0.4
"""Of the launches with real workers."""


class Actors:
    """The process whose children act, and which of them are at work."""

    def __init__(self, world: World) -> None:
        self._numbers = itertools.count(1)
        self._busy: dict[str, tuple[Act, str]] = {}
        self._log = (world.directory / "actors.log").open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.torture.launches.actors"],
            env=world.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            bufsize=1,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def act(self, act: Act, run_id: str, blow: Blow) -> None:
        """Begins an act in a process of its own, which a blow strikes."""
        number = str(next(self._numbers))
        self._busy[number] = act, run_id
        assert self._process.stdin
        self._process.stdin.write(f"{number} {act} {run_id} {blow.step} {blow.seconds}\n")

    def busy(self) -> set[tuple[Act, str]]:
        """Acts that go on."""
        return set(self._busy.copy().values())

    def close(self) -> int:
        """Ends the process, when the last act is done; its exit code."""
        assert self._process.stdin
        self._process.stdin.close()
        self._reader.join()
        self._log.close()
        return self._process.wait()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            del self._busy[line.split()[0]]


@dataclass
class Conductor:
    """Drives one torture."""

    plan: Plan
    world: World
    progress: Callable[[int], object]
    launches: dict[str, Launch] = field(default_factory=dict)
    violence: Counter[str] = field(default_factory=Counter)
    over_at: dict[str, float] = field(default_factory=dict)
    """When runs were seen to be over, or gone, in seconds since 1970."""
    daemon_crashes: int = 0
    """How often the daemon ended by itself."""
    _due: list[tuple[float, int, Callable[[], object]]] = field(default_factory=list)
    _faults: dict[str, list[str]] = field(default_factory=dict)
    _statuses: dict[str, DagsterRunStatus | None] = field(default_factory=dict)
    _dequeued: set[str] = field(default_factory=set)
    _acts_to_come: int = 0
    _restarting: bool = False
    _calm: bool = False
    settled_seconds: float = 0.0
    """From the last launch until all was quiet."""

    def __post_init__(self) -> None:
        self.chance = random.Random(self.plan.seed)
        self._numbers = itertools.count()
        self.actors = Actors(self.world)
        self.daemon = Program(
            "daemon",
            [sys.executable, "-m", "tests.torture.launches.daemon"],
            self.world.home,
            self.world.environment,
            self.world.directory / "daemon.log",
        )

    def run(self) -> None:
        """Launches all, and waits until nothing of them is left, or the time is over."""
        end = time.monotonic() + self.plan.most_seconds
        drawn = self._draw()
        self.daemon.start()
        self._later(self.plan.pause_seconds, self._torment)
        try:
            while drawn and time.monotonic() < end:
                while drawn and len(self._unfinished()) < self.plan.at_once:
                    self._begin(drawn.pop())
                self._look()
                self.progress(len(self.launches))
                if self._proved():
                    break
            self._wait_for_quiet()
        finally:
            self.daemon.stop()
            self.actors.close()

    def _proved(self) -> bool:
        """Whether what must fail has failed: nothing more is to be seen."""
        executions = self.world.ledger.read().values()
        return not self.plan.claims and any(len(one.began) > 1 for one in executions)

    def _draw(self) -> list[Launch]:
        standing = round(self.plan.real * _STANDING_SHARE)
        places = [Place.STANDING] * standing
        places += [Place.REAL] * (self.plan.real - standing)
        places += [Place.STUB] * (self.plan.launches - len(places))
        self.chance.shuffle(places)
        return [draw(self.chance, place, self.plan.among) for place in places]

    def _begin(self, launch: Launch) -> None:
        self.launches[launch.run_id] = launch
        self._statuses[launch.run_id] = DagsterRunStatus.NOT_STARTED
        self._faults[launch.run_id] = [self.world.inject(fault) for fault in launch.faults]
        self.world.create(launch)
        self._act(Act.SUBMIT, launch)
        self._acts_to_come += len(launch.acts)

    def _submitted(self, launch: Launch) -> None:
        """Nobody sees a run, or can do anything to it, before it is submitted."""
        for seconds, act in launch.acts:
            self._later(seconds, partial(self._act_at_last, act, launch))
        launch.acts = []

    def _act_at_last(self, act: Act, launch: Launch) -> None:
        self._acts_to_come -= 1
        self._act(act, launch)

    def _act(self, act: Act, launch: Launch) -> None:
        self.actors.act(act, launch.run_id, launch.blows.pop(act, NO_BLOW))

    def _look(self) -> None:
        """Does what is due, sees what has changed, and takes runs from the queue."""
        if not self.daemon.alive and not self._restarting:
            self.daemon_crashes += 1
            self._daemon_restarts()
        until = time.monotonic() + LOOK_SECONDS
        while time.monotonic() < until:
            while self._due and self._due[0][0] <= time.monotonic():
                heapq.heappop(self._due)[2]()
            time.sleep(0.02)
        unfinished = self._unfinished()
        records = self.world.instance.get_runs(RunsFilter(run_ids=unfinished)) if unfinished else []
        found = {run.run_id: run.status for run in records}
        busy = self.actors.busy()
        for run_id in unfinished:
            self._statuses[run_id] = found.get(run_id)
            is_new = found.get(run_id) is DagsterRunStatus.NOT_STARTED
            if not is_new or (Act.SUBMIT, run_id) not in busy:
                self._submitted(self.launches[run_id])
            if run_id not in self._unfinished():
                self._forget(run_id)
            elif found.get(run_id) is DagsterRunStatus.QUEUED:
                self._dequeue(self.launches[run_id])

    def _dequeue(self, launch: Launch) -> None:
        """The queue's part: as often as needed, and at first with as many processes as drawn."""
        if (Act.DEQUEUE, launch.run_id) in self.actors.busy():
            return
        first = launch.run_id not in self._dequeued
        self._dequeued.add(launch.run_id)
        for _ in range(launch.dequeuers if first else 1):
            self._act(Act.DEQUEUE, launch)

    def _unfinished(self) -> list[str]:
        return [
            run_id
            for run_id, status in self._statuses.items()
            if status is not None and status not in FINISHED
        ]

    def _forget(self, run_id: str) -> None:
        """Its faults matter to tasks that come late, so they go some time later."""
        self.over_at.setdefault(run_id, time.time())
        self._acts_to_come -= len(self.launches[run_id].acts)
        self.launches[run_id].acts = []
        faults = self._faults.pop(run_id)
        for fault in faults:
            self._later(15, partial(self.world.retract, fault))

    def _wait_for_quiet(self) -> None:
        begun = time.monotonic()
        self._calm = True
        while time.monotonic() < begun + QUIET_SECONDS and not self._is_quiet():
            if self._proved():
                break
            self._look()
        self.settled_seconds = time.monotonic() - begun

    def _is_quiet(self) -> bool:
        return (
            not self._unfinished()
            and not self.actors.busy()
            and not self._acts_to_come
            and not self.world.stack.slots.holders()
            and all(task["lastStatus"] == "STOPPED" for task in self.world.tasks())
        )

    def _torment(self) -> None:
        """One act against all runs."""
        if self._calm:
            return
        acts: dict[Callable[[], object], float] = {
            self._daemon_restarts: 2,
            self._table_down: 1,
            self._ecs_down: 1,
            self._tasks_missing: 2,
            self._stop_task_fails: 2,
            self._describe_throttled: 2,
        }
        act = self.chance.choices(list(acts), list(acts.values()))[0]
        act()
        self.violence[act.__name__.strip("_").replace("_", " ")] += 1
        self._later(self.chance.expovariate(1 / self.plan.pause_seconds), self._torment)

    def _daemon_restarts(self) -> None:
        if self._restarting:
            return
        self._restarting = True
        self.daemon.kill()
        self._later(self.chance.uniform(0, 3), self._start_daemon)

    def _start_daemon(self) -> None:
        self._restarting = False
        self.daemon.start()

    def _table_down(self) -> None:
        down = {"kind": "error", "service": "dynamodb", "code": "InternalServerError"}
        self._for_seconds(self.chance.uniform(1, 6), {**down, "status": 500, "times": None})

    def _ecs_down(self) -> None:
        down = {"kind": "error", "code": "ServerException", "status": 500, "times": None}
        self._for_seconds(self.chance.uniform(1, 4), down)

    def _tasks_missing(self) -> None:
        self._for_seconds(5, {"kind": "missing_tasks", "times": self.chance.randint(1, 4)})

    def _stop_task_fails(self) -> None:
        kind = self.chance.choice(["lost_request", "lost_response"])
        times = self.chance.randint(1, 6)
        self._for_seconds(10, {"kind": kind, "operation": "StopTask", "times": times})

    def _describe_throttled(self) -> None:
        self._for_seconds(5, {"kind": "error", "operation": "DescribeTasks", "times": 6})

    def _for_seconds(self, seconds: float, fault: dict[str, Any]) -> None:
        fault_id = self.world.inject(fault)
        self._later(seconds, lambda: self.world.retract(fault_id))

    def _later(self, seconds: float, action: Callable[[], object]) -> None:
        heapq.heappush(self._due, (time.monotonic() + seconds, next(self._numbers), action))


FINISHED: Final = frozenset(
    {DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED}
)
