"""The troubles that a launch may meet, drawn at random and alone or together.

Each is about one run: faults of the local account that strike its calls and tasks only, what its
worker does, and what people and other processes do meanwhile.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

LATE_SECONDS: Final = 11
"""Longer than our client waits for an answer of ECS, 10 s."""
START_TIMEOUT_SECONDS: Final = 60
"""How long a run may be STARTING here."""
RUN_SECONDS: Final = 2.5
"""Mean time that a run works."""
STEPS: Final = 16
"""A launch has fewer at which its process may be killed."""


class Place(StrEnum):
    """Where a run's code is executed."""

    STUB = "stub"
    """In a task of its own, by a worker whose run is not Dagster's."""
    REAL = "real"
    """In a task of its own."""
    STANDING = "standing"
    """In the standing container, if there is a slot."""


class Act(StrEnum):
    """What a process of its own does to a run."""

    SUBMIT = "submit"
    DEQUEUE = "dequeue"
    CANCEL = "cancel"
    DELETE = "delete"
    SECOND_TASK = "second-task"


@dataclass(frozen=True)
class Blow:
    """What strikes a process that acts."""

    step: int
    """Which one of its steps."""
    seconds: float = 0.0
    """How long it stands still then; killed where it is 0."""


@dataclass
class Launch:
    """One launch, with all that is to happen to it."""

    run_id: str
    place: Place
    troubles: list[str] = field(default_factory=list)
    """Their names."""
    faults: list[dict[str, Any]] = field(default_factory=list)
    """Of the local account, as its HTTP interface takes them."""
    body: dict[str, Any] = field(default_factory=dict)
    """What its worker does (``stub.Body``)."""
    acts: list[tuple[float, Act]] = field(default_factory=list)
    """What is done to it, so many seconds after it was submitted; emptied then."""
    blows: dict[Act, Blow] = field(default_factory=dict)
    """What strikes the first process of an act."""
    dequeuers: int = 1
    """How many processes take it from the queue at once."""

    def fault(self, kind: str, **fields: Any) -> None:
        """Adds one that strikes RunTask for this run, or its tasks."""
        where = {"startedBy": self.run_id}
        operation = {} if kind in TASK_FAULTS else {"operation": "RunTask"}
        self.faults.append({"kind": kind, "where": where, **operation, **fields})


TASK_FAULTS: Final = {"dead_task", "slow_task", "no_containers"}
Trouble = Callable[[Launch, random.Random], None]


def _lost_answer(launch: Launch, chance: random.Random) -> None:
    launch.fault("lost_response", times=chance.randint(1, 5))


def _lost_request(launch: Launch, chance: random.Random) -> None:
    launch.fault("lost_request", times=chance.randint(1, 5))


def _late_answer(launch: Launch, chance: random.Random) -> None:
    launch.fault("delay", seconds=LATE_SECONDS)


def _slow_answer(launch: Launch, chance: random.Random) -> None:
    launch.fault("delay", seconds=round(chance.uniform(0.5, 4), 1))


def _throttled(launch: Launch, chance: random.Random) -> None:
    launch.fault("error", code="ThrottlingException", times=chance.randint(1, 9))


def _throttled_by_ec2(launch: Launch, chance: random.Random) -> None:
    message = "Error retrieving network interface: Throttling: Rate exceeded"
    times = chance.randint(1, 4)
    launch.fault("error", code="InvalidParameterException", message=message, times=times)


def _server_error(launch: Launch, chance: random.Random) -> None:
    launch.fault("error", code="ServerException", status=500, times=chance.randint(1, 5))


def _no_capacity(launch: Launch, chance: random.Random) -> None:
    launch.fault("run_task_failures", times=chance.randint(1, 4))


def _empty_answer(launch: Launch, chance: random.Random) -> None:
    launch.fault("run_task_failures", failures=[], times=chance.randint(1, 2))


def _denied(launch: Launch, chance: random.Random) -> None:
    launch.fault("error", code="AccessDeniedException", message="not authorized", times=None)


def _dead_task(launch: Launch, chance: random.Random) -> None:
    launch.fault("dead_task", times=chance.randint(1, 4))


def _image_gone(launch: Launch, chance: random.Random) -> None:
    launch.fault("dead_task", reason="CannotPullContainerError: image not found", times=None)


def _no_containers(launch: Launch, chance: random.Random) -> None:
    launch.fault("no_containers", times=None)


def _slow_task(launch: Launch, chance: random.Random) -> None:
    launch.fault("slow_task", seconds=round(chance.uniform(1, 8), 1))


def _late_start(launch: Launch, chance: random.Random) -> None:
    seconds = START_TIMEOUT_SECONDS + chance.uniform(-1, 3)
    launch.fault("slow_task", seconds=round(seconds, 1), times=None)


def _claim_lost(launch: Launch, chance: random.Random) -> None:
    """The claim is written, or not, and its answer lost."""
    kind = chance.choice(["lost_response", "lost_request"])
    where = {"Item.pk.S": launch.run_id}
    times = chance.randint(1, 4)
    fault = {"kind": kind, "service": "dynamodb", "operation": "PutItem"}
    launch.faults.append({**fault, "where": where, "times": times})


def _ends(how: str) -> Trouble:
    def trouble(launch: Launch, chance: random.Random) -> None:
        launch.body["end"] = how

    return trouble


def _dies_early(launch: Launch, chance: random.Random) -> None:
    """SIGKILL for the worker's task before its run has begun."""
    launch.body["dies"] = chance.choice(["before the claim", "after the claim"])


def _launcher_killed(launch: Launch, chance: random.Random) -> None:
    _strike_launcher(launch, chance, 0)


def _launcher_stalls(launch: Launch, chance: random.Random) -> None:
    """It stands still, longer than the daemon waits for it, and then goes on as if nothing was."""
    _strike_launcher(launch, chance, round(chance.uniform(1, 12), 1))


def _strike_launcher(launch: Launch, chance: random.Random, seconds: float) -> None:
    act = chance.choice([Act.SUBMIT, *[Act.DEQUEUE] * 4])
    launch.blows[act] = Blow(chance.randint(1, STEPS), seconds)


def _two_launchers(launch: Launch, chance: random.Random) -> None:
    """As two daemons do while one replaces the other."""
    launch.dequeuers = 2
    if chance.random() < 0.5:
        launch.blows.setdefault(Act.DEQUEUE, Blow(chance.randint(1, 4), chance.uniform(0.1, 4)))


def _canceled(launch: Launch, chance: random.Random) -> None:
    launch.acts.append((_moment(chance), Act.CANCEL))
    if chance.random() < 0.3:
        launch.blows[Act.CANCEL] = Blow(chance.randint(1, 6))


def _deleted(launch: Launch, chance: random.Random) -> None:
    launch.acts.append((_moment(chance), Act.DELETE))


def _second_task(launch: Launch, chance: random.Random) -> None:
    """The same request with a token that ECS does not know: it has forgotten the first one."""
    launch.acts.append((_moment(chance), Act.SECOND_TASK))


def _moment(chance: random.Random) -> float:
    return chance.choice([chance.uniform(0, 1), chance.uniform(0, 8)])


TROUBLES: Final[dict[str, Trouble]] = {
    "answer of RunTask lost": _lost_answer,
    "RunTask lost": _lost_request,
    "RunTask succeeds after 11 s": _late_answer,
    "RunTask is slow": _slow_answer,
    "RunTask throttled": _throttled,
    "RunTask throttled by EC2": _throttled_by_ec2,
    "RunTask answers 500": _server_error,
    "no capacity": _no_capacity,
    "RunTask answers nothing": _empty_answer,
    "AccessDenied": _denied,
    "task dead before its start": _dead_task,
    "image gone": _image_gone,
    "stopped task without containers": _no_containers,
    "task starts slowly": _slow_task,
    "task starts at the start timeout": _late_start,
    "answer to the claim lost": _claim_lost,
    "worker killed before its run": _dies_early,
    "run killed": _ends("kill"),
    "run out of memory": _ends("memory"),
    "run exits with 0": _ends("exit 0"),
    "run fails": _ends("fail"),
    "launcher killed": _launcher_killed,
    "launcher stalls": _launcher_stalls,
    "two launchers": _two_launchers,
    "canceled": _canceled,
    "deleted": _deleted,
    "second task": _second_task,
}
_OFTEN: Final = {
    "launcher killed": 4,
    "launcher stalls": 3,
    "two launchers": 2,
    "canceled": 3,
    "second task": 2,
    "deleted": 2,
}
_SELDOM: Final = {"AccessDenied": 0.4, "image gone": 0.4, "task starts at the start timeout": 0.6}
_HOW_MANY: Final[Sequence[int]] = [0, 1, 1, 1, 2, 2, 3]
_IN_STANDING_CONTAINER: Final = (
    "launcher killed",
    "launcher stalls",
    "canceled",
    "deleted",
    "run fails",
)


FATAL: Final = frozenset(
    {
        "AccessDenied",
        "task dead before its start",
        "image gone",
        "task starts at the start timeout",
        "worker killed before its run",
        "run killed",
        "run out of memory",
        "run exits with 0",
        "run fails",
    }
)
"""By which a run may fail. The others must not be seen in its end."""


def draw(chance: random.Random, place: Place, among: Collection[str]) -> Launch:
    """A launch with up to three of these troubles."""
    run_id = str(uuid.UUID(int=chance.getrandbits(128), version=4))
    launch = Launch(run_id, place)
    launch.body = {
        "import_seconds": round(chance.uniform(0, 0.5), 2),
        "prepare_seconds": round(chance.uniform(0, 0.3), 2),
        "seconds": round(chance.expovariate(1 / RUN_SECONDS), 2),
        "end": "finish",
    }
    known = TROUBLES if place is not Place.STANDING else _IN_STANDING_CONTAINER
    names = [name for name in known if name in among]
    weights = [_OFTEN.get(name, _SELDOM.get(name, 1.0)) for name in names]
    drawn = chance.choices(names, weights, k=chance.choice(_HOW_MANY)) if names else []
    for name in dict.fromkeys(drawn):
        launch.troubles.append(name)
        TROUBLES[name](launch, chance)
    return launch
