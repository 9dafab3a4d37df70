"""The reconciler: removes holders that nobody else will, whose launcher or server died.

Nothing here is decided by a lease or by the clock of another machine. An entry says who knows about
its process (``slots``), and that one is asked:

* No server in it: there is no process. It goes when Dagster's storage says that the run needs none,
  or when its launcher has done nothing for minutes. A launcher that comes back finds the server
  refusing: the entry that the server would write its name into is gone.
* A server in it: it goes when that server says that it has no process of the run, or ECS that the
  server's task is over. What Dagster's storage says does not matter: a run that has ended there may
  go on for a while, one that was deleted for hours.

What is doubtful stays. Each removal names what was read, so a pass may be late, or two at once.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, Protocol

from run_isolation.server_identity import ServerIdentity
from run_isolation.slots.item import Holder
from run_isolation.slots.slots import Slots
from run_isolation.start_run_timers import ABANDONED_SECONDS
from run_isolation.tasks import TaskState

_MOST_ASKED: Final = 16
"""Servers that are asked at the same time."""

_log: Final = logging.getLogger(__name__)


class Runs(Protocol):
    """Dagster's storage."""

    def over(self, holders: Sequence[Holder]) -> Mapping[Holder, str]:
        """Holders whose runs need no process, now or later, and why; one query for all."""


class Servers(Protocol):
    """The standing servers."""

    def current_runs(self, server: ServerIdentity) -> frozenset[str] | None:
        """The runs that it has processes of, or is about to start: none where it is replaced.

        None: it does not answer.
        """


class Tasks(Protocol):
    """ECS."""

    def states(self, task_arns: Collection[str]) -> Mapping[str, TaskState]:
        """The states of tasks, in few calls; empty where ECS does not answer."""


class Ends(Protocol):
    """Runs that are over while their processes go on."""

    def ending(self, holders: Collection[Holder]) -> Collection[Holder]:
        """Those whose processes will be gone in a moment."""

    def end(self, hosted: Mapping[ServerIdentity, Sequence[Holder]]) -> None:
        """Has the processes ended of those of these holders whose runs are over."""


class _Leave:
    """Lets them go on, and waits for them."""

    def ending(self, holders: Collection[Holder]) -> Collection[Holder]:
        return holders

    def end(self, hosted: Mapping[ServerIdentity, Sequence[Holder]]) -> None:
        """Nothing."""


@dataclass(frozen=True)
class Removed:
    """A holder that was removed, and why."""

    holder: Holder
    why: str


@dataclass
class Reconciler:
    """Remembers, between passes, since when a launch seems abandoned."""

    slots: Slots
    runs: Runs
    servers: Servers
    tasks: Tasks
    logger: logging.Logger
    clock: Callable[[], float] = time.monotonic
    abandoned_seconds: float = ABANDONED_SECONDS
    ends: Ends = field(default_factory=_Leave)
    _waiting_since: dict[Holder, float] = field(default_factory=dict)

    def reconcile(self) -> list[Removed]:
        """One pass over all holders.

        Raises:
            TableError: The slot table did not answer.
        """
        waiting, hosted = _apart(self.slots.mended_holders())
        given_up = self._given_up(waiting)
        gone, there = self._ask(hosted)
        removed = self._remove(given_up | gone)
        if there:
            self.ends.end(there)
        return removed

    def look_at(self, run_id: str) -> list[Removed]:
        """The same for one run: its server alone is asked, and nothing is given up for its time.

        Raises:
            TableError: The slot table did not answer.
        """
        its_own = [one for one in self.slots.mended_holders() if one.run_id == run_id]
        waiting, hosted = _apart(its_own)
        over = dict(self.runs.over(waiting)) if waiting else {}
        gone, _ = self._ask(hosted)
        return self._remove(over | gone)

    def make_room(self, holders: Sequence[Holder]) -> bool:
        """Removes those of a denial's holders that storage knows to be over, without asking ECS.

        Returns:
            Whether a slot is free now or will be in a moment: a run is over in storage a little
            before its process is.

        Raises:
            TableError: The slot table did not answer.
        """
        over = self.runs.over(holders)
        waiting, hosted = _apart(over)
        ending = self.ends.ending([holder for theirs in hosted.values() for holder in theirs])
        gone = {holder: over[holder] for holder in waiting}
        for server, theirs in hosted.items():
            # What goes on after its run is ended by a pass: no launch waits for that.
            if any(holder in ending for holder in theirs):
                gone |= _disowned(server, theirs, self.servers.current_runs(server))
        self._remove(gone)
        return bool(waiting or ending)

    def _given_up(self, waiting: Sequence[Holder]) -> dict[Holder, str]:
        now = self.clock()
        self._waiting_since = {holder: self._waiting_since.get(holder, now) for holder in waiting}
        for holder, since in self._waiting_since.items():
            _log.debug(
                "Slot of run %s, attempt %d, has had no server for %.0f of %.0f seconds.",
                holder.run_id,
                holder.attempt,
                now - since,
                self.abandoned_seconds,
            )
        abandoned = {
            holder: "its launch was given up halfway"
            for holder, since in self._waiting_since.items()
            if now - since >= self.abandoned_seconds
        }
        return abandoned | dict(self.runs.over(waiting) if waiting else {})

    def _ask(
        self, hosted: Mapping[ServerIdentity, Sequence[Holder]]
    ) -> tuple[dict[Holder, str], dict[ServerIdentity, list[Holder]]]:
        """Holders whose processes are gone, and why; and those that their servers have, by server.

        What is in neither is doubtful.
        """
        states = self.tasks.states({server.task_arn for server in hosted}) if hosted else {}
        gone: dict[Holder, str] = {}
        there: dict[ServerIdentity, list[Holder]] = {}
        asked = []
        for server, theirs in hosted.items():
            state = states.get(server.task_arn)
            if state and state.stopped:
                why = f"its task {server.task_arn} has stopped: {state.reason}"
                gone |= dict.fromkeys(theirs, why)
            else:
                asked.append(server)
        for server, running in self._runs_of(asked).items():
            theirs = hosted[server]
            gone |= _disowned(server, theirs, running)
            if running is None:
                gone |= _forgotten(server, theirs, states.get(server.task_arn))
            elif has := [holder for holder in theirs if holder.run_id in running]:
                there[server] = has
        return gone, there

    def _runs_of(
        self, servers: Sequence[ServerIdentity]
    ) -> dict[ServerIdentity, frozenset[str] | None]:
        """What servers say, asked at the same time: a silent one keeps no other's runs waiting."""
        if not servers:
            return {}
        with ThreadPoolExecutor(_MOST_ASKED, thread_name_prefix="reconciler") as pool:
            return dict(zip(servers, pool.map(self.servers.current_runs, servers), strict=True))

    def _remove(self, gone: Mapping[Holder, str]) -> list[Removed]:
        removed = []
        for holder, why in gone.items():
            if self.slots.remove(holder):
                self.logger.info("Slot of run %s removed: %s.", holder.run_id, why)
                removed.append(Removed(holder, why))
            else:
                _log.debug("Slot of run %s stays: it has changed since it was read.", holder.run_id)
        return removed


def _apart(
    holders: Iterable[Holder],
) -> tuple[list[Holder], dict[ServerIdentity, list[Holder]]]:
    """Holders without a server, and the others by server."""
    waiting: list[Holder] = []
    hosted: defaultdict[ServerIdentity, list[Holder]] = defaultdict(list)
    for holder in holders:
        if holder.hosted_by is None:
            waiting.append(holder)
        else:
            hosted[holder.hosted_by].append(holder)
    return waiting, hosted


def _disowned(
    server: ServerIdentity, theirs: Sequence[Holder], running: frozenset[str] | None
) -> dict[Holder, str]:
    """Those of a server's holders that it has no process of; none where it does not answer."""
    why = f"the server of task {server.task_arn} has no process of it"
    return {
        holder: why for holder in theirs if running is not None and holder.run_id not in running
    }


def _forgotten(
    server: ServerIdentity, theirs: Sequence[Holder], state: TaskState | None
) -> dict[Holder, str]:
    """Those of a silent server, where ECS does not know its task."""
    arn = server.task_arn
    _log.debug(
        "Slots of runs %s: the server of task %s does not answer, ECS calls it %s.",
        ", ".join(holder.run_id for holder in theirs),
        arn,
        state.status if state else "unknown",
    )
    # ECS forgets a task an hour after its end. One that hosted a run did exist.
    missing = state is not None and state.missing
    why = f"its task {arn} is not known to ECS and does not answer"
    return dict.fromkeys(theirs, why) if missing else {}
