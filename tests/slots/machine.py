"""Launchers, servers and reconcilers that act in any order, on a network that loses and delays."""

from __future__ import annotations

import itertools
from collections import Counter, deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import ClassVar, TypeVar

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from types_boto3_dynamodb import DynamoDBClient

from run_isolation import Acquired, Denied, Holder, NonIsolatedRuns, Slots
from run_isolation.errors import SupersededError, TableUnreachableError
from run_isolation.server_identity import ServerIdentity
from run_isolation.start_run_timers import ABANDONED_SECONDS
from tests.runtime.tables import UP_STEPS, create_table, up
from tests.slots.deployment import Deployment, Server, Status
from tests.slots.parts import Parts
from tests.slots.proxy import Fault, Proxy

LOCATIONS = {"10.0.0.1:4000": "sales", "10.0.0.2:4000": "research"}
LIMITS = st.sampled_from([0, 1, 1, 2, 2, 3])
NAMES = st.sampled_from([*LOCATIONS.values()])
OF_LOCATIONS = st.sampled_from([{}, {}, {"sales": 0}, {"sales": 1}, {"sales": 1, "research": 1}])
TRIES = 3
"""What the SDK does with one call."""
ONE_TRY = [[fault] for fault in Fault if not fault.startswith("the")]
NO_ANSWER = [[fault] * TRIES for fault in (Fault.LOSE_REQUEST, Fault.LOSE_ANSWER, Fault.HOLD_BACK)]
T = TypeVar("T")
_TABLES = itertools.count()
FAULTS = st.sampled_from([[], [], *ONE_TRY, *NO_ANSWER])
ANY = st.integers(0, 1_000)
PASSED = st.sampled_from([0, ABANDONED_SECONDS])
MEANWHILE = st.tuples(
    st.sampled_from(["nothing", "configure", "start", "start", "reconcile", "end", "launch"]), ANY
)


@dataclass
class Network:
    """One DynamoDB, through the proxy and past it, and what befalls the next writes."""

    client: DynamoDBClient
    direct: DynamoDBClient
    proxy: Proxy
    script: deque[Fault] = field(default_factory=deque)
    before_write: Callable[[], object] | None = None
    steps: int = 0
    failure: AssertionError | None = None
    """What was found wrong in the proxy's thread."""

    def decide(self, operation: str) -> Fault:
        """The proxy's part."""
        if operation != "UpdateItem":
            return Fault.NONE
        action, self.before_write = self.before_write, None
        try:
            if action:
                action()
        except AssertionError as error:
            self.failure = error
        return self.script.popleft() if self.script else Fault.NONE

    def calm(self) -> None:
        """Nothing befalls them."""
        self.script.clear()
        self.before_write = None


@dataclass
class Launch:
    """One attempt of a run, as its launcher sees it."""

    run: str
    attempt: int
    location: str
    told: bool | None = None
    """Whether it holds a slot; None: it has no answer."""
    limits: set[tuple[int, int]] = field(default_factory=set)
    """In force when one of the run's acquires began: the deployment's, its code location's."""
    server: ServerIdentity | None = None
    """To which its StartRun goes."""


class SlotsMachine(RuleBasedStateMachine):
    parts: ClassVar[Parts] = Parts()
    network: ClassVar[Network]

    def __init__(self) -> None:
        super().__init__()
        self.network.calm()
        self.network.proxy.late.clear()
        self.table = f"slots-{next(_TABLES)}"
        create_table(self.network.direct, self.table)
        self.past = self.parts.slots(self.network.direct, self.table)
        self.through = self.parts.slots(self.network.client, self.table)
        self.observer = Slots(self.network.direct, self.table)
        self.deployment = Deployment()
        self.now = 0.0
        self.settings = NonIsolatedRuns()
        self.launches: dict[str, Launch] = {}
        self.started: Counter[tuple[str, int]] = Counter()
        self.seen: set[str] = set()

    @initialize(limit=LIMITS, of_locations=OF_LOCATIONS)
    def begin(self, limit: int, of_locations: dict[str, int]) -> None:
        self.slots = self.through
        for address in LOCATIONS:
            self._serve(address)
        self.reconcilers = [
            self.deployment.reconciler(self.slots, lambda: self.now, self.parts.reconciler)
            for _ in range(self.parts.reconcilers)
        ]
        self._configure(limit, of_locations)

    def teardown(self) -> None:
        if hasattr(self, "slots"):
            self._leave_alone()
            self._nothing_is_leaked()
        self.network.direct.delete_table(TableName=self.table)

    # What may happen.

    @rule(limit=LIMITS, of_locations=OF_LOCATIONS, steps=st.sampled_from([1, 2, 3, 3, 3]))
    def change_settings(self, limit: int, of_locations: dict[str, int], steps: int) -> None:
        """`pulumi up` comes to its end, or stops in the middle."""
        self._configure(limit, of_locations, steps)

    @rule(location=NAMES, faults=FAULTS, meanwhile=MEANWHILE, at_once=st.booleans())
    def launch(
        self, location: str, faults: list[Fault], meanwhile: tuple[str, int], at_once: bool
    ) -> None:
        run = f"run-{len(self.launches)}"
        self.deployment.runs[run] = Status.STARTING
        self._disturb(faults, meanwhile)
        self._acquire(Launch(run, 1, location), at_once)

    @precondition(lambda self: self._over())
    @rule(which=ANY, faults=FAULTS, at_once=st.booleans())
    def launch_again(self, which: int, faults: list[Fault], at_once: bool) -> None:
        """The next attempt of a run whose process is known to be gone."""
        self._disturb(faults)
        self._launch_again(_pick(self._over(), which), at_once)

    @precondition(lambda self: self._told_yes())
    @rule(which=ANY, faults=FAULTS)
    def start(self, which: int, faults: list[Fault]) -> None:
        """StartRun arrives, soon or long after it was sent, perhaps for the second time."""
        self._disturb(faults)
        self._start(which)

    @precondition(lambda self: self.deployment.processes)
    @rule(which=ANY, stored=st.booleans(), faults=FAULTS, again=st.booleans())
    def process_ends(self, which: int, stored: bool, faults: list[Fault], again: bool) -> None:
        self._disturb(faults)
        run = self._end(which, stored)
        if again:
            self.network.calm()
            self._launch_again(run, at_once=True)

    @precondition(lambda self: self.deployment.runs)
    @rule(which=ANY, how=st.sampled_from([None, Status.ENDED, Status.SUSPENDED]))
    def storage_changes(self, which: int, how: Status | None) -> None:
        """A run is deleted, ends or is suspended in storage, whatever its process does."""
        stored = self.deployment.runs
        alive = [run for run in self.deployment.processes if run in stored]
        waiting = [run for run in self._waiting() if run in stored]
        run = _pick(alive or waiting or stored, which)
        if how is None:
            del self.deployment.runs[run]
        elif self.deployment.runs[run] is Status.STARTING:
            self.deployment.runs[run] = how

    @rule(which=ANY, how=st.sampled_from(["dies", "is of before", "falls silent", "recovers"]))
    def server_changes(self, which: int, how: str) -> None:
        server = _pick(self.deployment.servers, which)
        if how in ("dies", "is of before"):
            self.deployment.kill(server)
            self._serve(server.identity.address, of_before=how == "is of before")
        else:
            server.silent = how == "falls silent"

    @rule(which=ANY, passed=PASSED, faults=FAULTS, meanwhile=MEANWHILE)
    def reconcile(
        self, which: int, passed: int, faults: list[Fault], meanwhile: tuple[str, int]
    ) -> None:
        self.now += passed
        self._disturb(faults, meanwhile)
        self._reconcile(which)

    @precondition(lambda self: self.network.proxy.late)
    @rule()
    def late_request_arrives(self) -> None:
        self.network.proxy.deliver_late()

    # What must hold.

    @invariant()
    def what_was_promised_holds(self) -> None:
        self.network.calm()
        self.network.steps += 1
        failure, self.network.failure = self.network.failure, None
        if failure:
            raise failure
        holders = {holder.run_id: holder for holder in self.observer.holders()}
        self._no_more_holders_than_the_limits_since_the_acquire_began(holders)
        self._every_process_holds_a_slot(holders)
        assert all(count <= 1 for count in self.started.values()), f"twice: {self.started}"

    def _no_more_holders_than_the_limits_since_the_acquire_began(
        self, holders: dict[str, Holder]
    ) -> None:
        new = holders.keys() - self.seen
        for location in {holders[run].location for run in new}:
            theirs = {run for run, holder in holders.items() if holder.location == location}
            # A request that arrives late meets the limits of now.
            began = [limits for run in new & theirs for limits in self.launches[run].limits]
            of_all, own = zip(self._limits(location), *began, strict=True)
            assert len(holders) <= max(of_all), f"{holders}, {of_all} allowed"
            assert len(theirs) <= max(own), f"{theirs} of {location}, {own} allowed"
        self.seen = set(holders)

    def _every_process_holds_a_slot(self, holders: dict[str, Holder]) -> None:
        for run, server in self.deployment.processes.items():
            assert run in holders, f"{run} is alive and holds no slot"
            assert holders[run].hosted_by == server.identity
            assert holders[run].attempt == self.launches[run].attempt

    def _nothing_is_leaked(self) -> None:
        assert self.observer.holders() == ()
        self._configure(3, {"sales": 2})
        fresh = [Holder(f"fresh-{n}", 1, "sales") for n in range(3)]
        answers = [isinstance(self.slots.acquire(holder), Acquired) for holder in fresh]
        assert answers == [True, True, False], answers

    # How it happens.

    def _acquire(self, launch: Launch, at_once: bool = False) -> None:
        """As the coordinator does; and the launcher, where it does not take its time."""
        self.launches[launch.run] = launch
        try:
            launch.told = self._ask(launch)
        except SupersededError:
            launch.told = False
        except TableUnreachableError:
            self.network.calm()
            self._disturb([Fault.LOSE_REQUEST] * TRIES)  # nor does the release get through
            self._release(launch)
        if not launch.told:
            self.deployment.runs[launch.run] = Status.ISOLATED
        elif at_once:
            self._start_at(launch)

    def _launch_again(self, run: str, at_once: bool) -> None:
        self.deployment.runs[run] = Status.STARTING
        before = self.launches[run]
        again = Launch(run, before.attempt + 1, before.location, limits=before.limits)
        self._acquire(again, at_once)

    def _ask(self, launch: Launch) -> bool:
        launch.limits.add(self._limits(launch.location))
        holder = Holder(launch.run, launch.attempt, launch.location, since="now")
        answer = self.slots.acquire(holder)
        if isinstance(answer, Denied) and self.reconcilers:
            self.reconcilers[0].slots = self.slots
            if self.reconcilers[0].make_room(answer.holders):
                launch.limits.add(self._limits(launch.location))
                answer = self.slots.acquire(holder)
        told = isinstance(answer, Acquired)
        assert told == (launch.run in {each.run_id for each in self.observer.holders()})
        return told

    def _release(self, launch: Launch) -> None:
        with suppress(TableUnreachableError):
            self.slots.of(launch.location).release(launch.run, launch.attempt)

    def _start(self, which: int) -> None:
        run = _pick(self._waiting() or self._told_yes(), which)
        self._start_at(self.launches[run])

    def _start_at(self, launch: Launch) -> None:
        address = next(one for one, name in LOCATIONS.items() if name == launch.location)
        launch.server = launch.server or self.deployment.at(address).identity
        there = self.deployment.at(launch.server.address)
        if there.silent:
            return
        before = len(there.processes)
        meant = there.identity == launch.server
        if meant and there.start(launch.run, launch.attempt) == "started":
            self.started[launch.run, launch.attempt] += len(there.processes) - before
        else:
            launch.told = False
            self.deployment.runs[launch.run] = Status.ISOLATED
            self._release(launch)

    def _end(self, which: int, stored: bool) -> str:
        run = _pick(self.deployment.processes, which)
        if stored and run in self.deployment.runs:
            self.deployment.runs[run] = Status.ENDED
        self.deployment.processes[run].process_ends(run)
        return run

    def _reconcile(self, which: int) -> None:
        if not self.reconcilers:
            return
        reconciler = _pick(self.reconcilers, which)
        reconciler.slots = self.slots
        with suppress(TableUnreachableError):
            reconciler.reconcile()

    def _serve(self, address: str, *, of_before: bool = False) -> Server:
        """A server; one of a release before tickets gives a slot back without its ticket."""
        location = None if of_before else LOCATIONS[address]
        return self.deployment.add_server(
            lambda: replace(self.slots, location=location), address, self.parts.hosting
        )

    def _configure(self, limit: int, of_locations: dict[str, int], steps: int = UP_STEPS) -> None:
        settings = NonIsolatedRuns(
            enabled=limit > 0,
            max_concurrent_non_isolated_runs=max(limit, 1),
            location_limits=of_locations,
        )
        up(self.past, settings, steps)
        if steps > 1:
            self.settings = settings

    def _limits(self, location: str) -> tuple[int, int]:
        return self.settings.limit, self.settings.limit_of(location)

    def _disturb(self, faults: list[Fault], meanwhile: tuple[str, int] = ("nothing", 0)) -> None:
        """What befalls the writes of the next call, and what others do just before the first."""
        self.network.calm()
        self.network.script.extend(faults)
        others: dict[str, Callable[[int], object]] = {
            "configure": lambda which: self._configure(which % 4, {"sales": which % 3}),
            "start": lambda which: self._start(which) if self._told_yes() else None,
            "reconcile": self._reconcile,
            "end": self._end_past,
            "launch": self._launch_past,
        }
        what, which = meanwhile
        if what in others:
            self.network.before_write = partial(self._past_the_proxy, others[what], which)

    def _end_past(self, which: int) -> None:
        if self.deployment.processes:
            self._end(which, stored=True)

    def _launch_past(self, which: int) -> None:
        run = f"run-{which}-{len(self.launches)}"
        self.deployment.runs[run] = Status.STARTING
        self._acquire(Launch(run, 1, [*LOCATIONS.values()][which % 2]))

    def _past_the_proxy(self, action: Callable[[int], object], which: int) -> None:
        self.slots, before = self.past, self.slots
        try:
            action(which)
        finally:
            self.slots = before

    def _leave_alone(self) -> None:
        """All goes well from now on, and nobody starts anything."""
        self.network.calm()
        while self.network.proxy.deliver_late():
            pass
        for server in self.deployment.servers:
            server.silent = False
        while self.deployment.processes:
            self._end(0, stored=False)
        for _ in range(2):
            self._reconcile(0)
            self.now += ABANDONED_SECONDS

    def _told_yes(self) -> list[str]:
        return [run for run, launch in self.launches.items() if launch.told]

    def _waiting(self) -> list[str]:
        """Runs with a slot whose StartRun was not sent yet."""
        return [run for run in self._told_yes() if not self.launches[run].server]

    def _over(self) -> list[str]:
        """Runs whose last attempt had a process that is gone."""
        alive = self.deployment.processes
        return [
            run
            for run, launch in self.launches.items()
            if self.started[run, launch.attempt] and run not in alive
        ]


def _pick(among: Iterable[T], which: int) -> T:
    options = list(among)
    return options[which % len(options)]
