"""The troubles that befall a standing container, drawn at random."""

from __future__ import annotations

import heapq
import itertools
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil
from dagster._core.errors import DagsterRunNotFoundError

from run_isolation.dagster.launch.non_isolated_runs import ServerRuns
from run_isolation.dagster.standing.client import ServerReplacedError, ServerSilentError
from tests.torture.standing import conditions, processes
from tests.torture.standing.board import Board, Launched
from tests.torture.standing.ledger import BEGAN, Ledger
from tests.torture.standing.plan import Plan
from tests.torture.standing.world import STORAGE_GATE, TABLE_GATE, World

TROUBLES: Final = {
    "run stands still": 10.0,
    "keeper stands still": 8.0,
    "template stands still": 4.0,
    "run deleted": 10.0,
    "run canceled": 14.0,
    "run timed out": 8.0,
    "disk full": 4.0,
    "no descriptors": 4.0,
    "no processes": 4.0,
    "storage cut off": 1.2,
    "table cut off": 1.2,
    "server replaced": 0.8,
}
"""Each with how often it is drawn."""
SHORTEST_CUT_SECONDS: Final = 5.0
_MEAN_SECONDS: Final = 9.0
"""Beyond the shortest."""
_TURN_SECONDS: Final = 0.05
_CANCEL_AGAIN_SECONDS: Final = 5.0
_CANCELS: Final = 12


class Troubles:
    """Torments until it is told to stop, and then makes good what can be."""

    def __init__(self, plan: Plan, world: World, board: Board) -> None:
        self.violence: Counter[str] = Counter()
        self._plan = plan
        self._world = world
        self._board = board
        self._chance = random.Random(f"{plan.seed}-troubles")
        self._over = threading.Event()
        self._short_of_descriptors = False
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = itertools.count()
        self._ledger = Ledger(world.ledger)
        self._pids: dict[str, tuple[int, int]] = {}
        self._servers = ServerRuns(world.deployment)
        self._acts: dict[str, Callable[[], bool]] = {
            "run stands still": self._stop_run,
            "keeper stands still": self._stop_keeper,
            "template stands still": self._stop_template,
            "run deleted": self._delete,
            "run canceled": self._cancel,
            "run timed out": self._time_out,
            "disk full": self._fill_disk,
            "no descriptors": self._take_descriptors,
            "no processes": self._take_processes,
            "storage cut off": lambda: self._cut(conditions.STORAGE, STORAGE_GATE),
            "table cut off": lambda: self._cut(conditions.TABLE, TABLE_GATE),
            "server replaced": self._replace,
        }

    def start(self) -> None:
        """Starts in a thread of its own."""
        self._thread = threading.Thread(target=self._torment, daemon=True)
        self._later(self._plan.pause_seconds, self._draw)
        self._thread.start()

    def stop(self) -> None:
        """No more of it; whatever was to come back comes back now."""
        self._over.set()
        self._thread.join()
        while self._due:
            self._do(heapq.heappop(self._due)[2])

    def _torment(self) -> None:
        while not self._over.wait(_TURN_SECONDS):
            while self._due and self._due[0][0] <= time.monotonic():
                self._do(heapq.heappop(self._due)[2])

    def _do(self, what: Callable[[], object]) -> None:
        with self._board.noting_crashes("troubles", psutil.Error, ProcessLookupError):
            what()

    def _draw(self) -> None:
        if self._over.is_set():
            return
        self._later(self._chance.expovariate(1 / self._plan.pause_seconds), self._draw)
        names = list(self._plan.among)
        [name] = self._chance.choices(names, [TROUBLES[name] for name in names])
        if self._acts[name]():
            self.violence[name] += 1

    def _later(self, seconds: float, what: Callable[[], object]) -> None:
        heapq.heappush(self._due, (time.monotonic() + seconds, next(self._numbers), what))

    def _in_background(self, what: Callable[[], object]) -> None:
        """For what takes its time, or waits for a storage that is cut off."""
        threading.Thread(target=self._do, args=(what,), daemon=True).start()

    def _seconds(self) -> float:
        """How long something stands still, or is cut off: often short, sometimes long."""
        shortest = min(SHORTEST_CUT_SECONDS, self._plan.longest_cut_seconds / 2)
        drawn = shortest + self._chance.expovariate(1 / _MEAN_SECONDS)
        return min(drawn, self._plan.longest_cut_seconds)

    # What stands still.

    def _stop_run(self) -> bool:
        living = self._living()
        if not living:
            return False
        run_id, (pid, _) = self._chance.choice(living)
        return self._stand_still(pid, conditions.of_run(run_id))

    def _stop_keeper(self) -> bool:
        living = self._living()
        if not living:
            return False
        run_id, (_, keeper) = self._chance.choice(living)
        return self._stand_still(keeper, conditions.of_run(run_id))

    def _stop_template(self) -> bool:
        template = self._template()
        return template is not None and self._stand_still(template, conditions.TEMPLATE)

    def _stand_still(self, pid: int, condition: str) -> bool:
        process = psutil.Process(pid)
        self._world.conditions.begin(condition)

        def go_on() -> None:
            with suppress(psutil.Error):
                process.resume()
            self._world.conditions.end(condition)

        self._later(self._seconds(), go_on)
        process.suspend()
        return True

    def _living(self) -> list[tuple[str, tuple[int, int]]]:
        """Runs whose code is at work: the process that does, and its keeper."""
        for entry in self._ledger.new():
            if entry.what == BEGAN:
                self._pids[entry.run_id] = (entry.pid, entry.keeper)
        now = processes.look().by_pid
        self._pids = {
            run_id: (pid, keeper)
            for run_id, (pid, keeper) in self._pids.items()
            if pid in now and now[pid].alive and now[pid].session == keeper
        }
        return sorted(self._pids.items())

    def _template(self) -> int | None:
        current = self._world.host.current
        if current is None:
            return None
        found = processes.look().called(current.pid, *processes.TEMPLATES)
        return found[0].pid if found else None

    # What somebody does to a run.

    def _delete(self) -> bool:
        def delete(it: Launched) -> bool:
            self._world.instance.delete_run(it.run_id)
            return True

        return self._to_a_run("deleted", delete)

    def _time_out(self) -> bool:
        def fail(it: Launched) -> bool:
            run = self._world.instance.get_run_by_id(it.run_id)
            if run is None or run.is_finished:
                return False
            self._world.instance.report_run_failed(run, message="It took too long.")
            return True

        return self._to_a_run("timed out", fail)

    def _cancel(self) -> bool:
        def cancel(it: Launched) -> bool:
            run = self._world.instance.get_run_by_id(it.run_id)
            if run is None or run.is_finished:
                return False
            self._world.instance.report_run_canceling(run)
            self._terminate(it)
            return True

        return self._to_a_run("canceled", cancel)

    def _terminate(self, it: Launched) -> None:
        """Whoever is told that the server is silent tries again."""
        for _ in range(_CANCELS):
            run = self._world.instance.get_run_by_id(it.run_id)
            if run is None or run.is_finished:
                return
            with suppress(ServerSilentError, ServerReplacedError):
                self._servers.terminate(self._world.instance, run)
                return
            time.sleep(_CANCEL_AGAIN_SECONDS)

    def _to_a_run(self, name: str, what: Callable[[Launched], bool]) -> bool:
        launched = self._board.any_unsettled(self._chance)
        if launched is None:
            return False

        def act() -> None:
            with suppress(DagsterRunNotFoundError):
                if what(launched):
                    self._board.act(launched, name)

        self._in_background(act)
        return True

    # What there is no more of.

    def _fill_disk(self) -> bool:
        if not self._world.temporary_is_small:
            return False
        full = self._world.temporary / "full"
        full.mkdir(exist_ok=True)
        with suppress(OSError), (full / "bytes").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(65_536))
        with suppress(OSError):
            for number in itertools.count():
                (full / str(number)).touch()
        self._later(self._seconds(), lambda: _empty(full))
        return True

    def _take_descriptors(self) -> bool:
        template = self._template()
        if template is None or self._short_of_descriptors:
            return False
        process = psutil.Process(template)
        before = process.rlimit(psutil.RLIMIT_NOFILE)
        # Some are enough to receive what is asked for, and too few to fork it.
        left = len(os.listdir(f"/proc/{template}/fd")) + self._chance.choice([0, 0, 3, 8])

        def give_back() -> None:
            self._short_of_descriptors = False
            process.rlimit(psutil.RLIMIT_NOFILE, before)

        self._short_of_descriptors = True
        self._later(self._seconds(), give_back)
        process.rlimit(psutil.RLIMIT_NOFILE, (left, before[1]))
        return True

    def _take_processes(self) -> bool:
        current = self._world.host.current
        limit = current.process_limit if current is not None else None
        if limit is None or self._world.conditions.holds(conditions.BOMB):
            return False
        before = limit.read_text()
        now = int((limit.parent / "pids.current").read_text())

        def give_back() -> None:
            with suppress(OSError):
                limit.write_text(before)
            self._world.conditions.end(conditions.BOMB)

        self._world.conditions.begin(conditions.BOMB)
        self._later(self._seconds(), give_back)
        limit.write_text(str(now + self._chance.choice([0, 0, 1, 3])))
        return True

    # What cannot be reached.

    def _cut(self, condition: str, gate: int) -> bool:
        if self._world.conditions.holds(conditions.STORAGE, conditions.TABLE, conditions.SERVER):
            return False

        def restore() -> None:
            self._world.gates.open(gate)
            self._world.conditions.end(condition)

        self._world.conditions.begin(condition)
        self._later(self._seconds(), restore)
        self._world.gates.close(gate)
        return True

    def _replace(self) -> bool:
        if self._world.host.current is None:
            return False
        self._in_background(self._world.host.replace)
        return True


def _empty(directory: Path) -> None:
    for file in directory.iterdir():
        file.unlink()
