"""Where one launcher meets one fault, and what is seen of it."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from dagster import DagsterEventType, DagsterRun

from tests.faults.contenders import START_TIMEOUT_SECONDS, Contender
from tests.runtime.dagster.account import Account, Stack
from tests.runtime.dagster.launches import Launches
from tests.waiting import eventually

PATIENCE_SECONDS: Final = START_TIMEOUT_SECONDS + 35
"""How long a run may take to end: what Dagster's start timeout ends, ends before."""
_STOP_SECONDS: Final = 15
"""How long after its end a run's tasks and slot may be left."""


@dataclass(frozen=True)
class Seen:
    """What became of one run. Nothing in it is written by hand."""

    status: str
    """Dagster's; the last one where the run did not end."""
    ended: bool
    executed: int
    """How often its code was begun."""
    finished: bool
    """Whether its code came to its end."""
    tasks: int
    """How many tasks were started for it."""
    tasks_left: int
    slots_left: int
    told: bool
    """Whether the run's events say what happened."""
    seconds: float
    """From its creation until its end, or until nobody looked any longer."""
    step: str = ""
    """At which step of several the fault struck: the first one that ended badly."""
    steps: int = 1
    steps_good: int = 1

    @property
    def true(self) -> bool:
        """Whether the status says what happened: success is that the code came to its end."""
        return self.ended and (self.status == "SUCCESS") == self.finished

    @property
    def all_steps(self) -> bool:
        """Whether the fault was survived at each step that it struck at."""
        return self.steps_good == self.steps

    @property
    def kept(self) -> bool:
        """Whether all that must hold under every fault does."""
        return self.true and self.executed <= 1 and not self.tasks_left and not self.slots_left


@dataclass
class Stage:
    """One launcher and one fault: no run, task, fault or holder of before.

    Attributes:
        contender: The launcher.
        directory: For files that the run and the test exchange.
    """

    contender: Contender
    directory: Path
    _runs: list[DagsterRun] = field(default_factory=list, init=False)
    _tasks_before: set[str] = field(init=False)

    def __post_init__(self) -> None:
        self.account.forget()
        self._tasks_before = self._all_tasks()

    @property
    def stack(self) -> Stack:
        """The deployment."""
        return self.contender.stack

    @property
    def account(self) -> Account:
        """The AWS account."""
        return self.stack.account

    @property
    def place(self) -> Path:
        """The file in which a run says where it is."""
        return self.directory / "place.json"

    def create(
        self,
        *,
        held: bool = False,
        definition: str | None = None,
        launches: Launches | None = None,
        tags: Mapping[str, str] | None = None,
        **config: Any,
    ) -> DagsterRun:
        """A run that is not submitted yet.

        Args:
            held: Whether its code waits until ``go``.
            definition: Another task definition than the code location's.
            launches: Of another standing task than the one that all share.
            tags: The run's.
            config: More of the op's config.
        """
        config["report_to"] = str(self.place)
        if held:
            config["wait_for"] = str(self.directory / "go")
        run = (launches or self.contender.launches).create(config=config, tags=tags)
        self._runs.append(run)
        return self._with_definition(run, definition) if definition else run

    def submit(self, **what: Any) -> DagsterRun:
        """A run as a person launches it, with the options of ``create``."""
        return self.contender.launches.submit(self.create(**what))

    def go(self) -> None:
        """Lets the run's code go on."""
        (self.directory / "go").touch()

    def wait_for_code(self) -> Mapping[str, Any]:
        """Where the run's code is, once it has begun."""
        self._wait(self.place.exists, "the run's code has begun")
        place: Mapping[str, Any] = json.loads(self.place.read_text())
        return place

    @contextmanager
    def daemon_paused(self) -> Iterator[None]:
        """Keeps the daemon from doing anything meanwhile."""
        pid = self.contender.daemon.pid
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def kill_worker(self) -> None:
        """SIGKILL for the process that executes the run."""
        os.kill(self.wait_for_code()["pid"], signal.SIGKILL)

    def tasks(self, run: DagsterRun) -> list[dict[str, Any]]:
        """The tasks that were started for a run, as ECS shows them."""
        arns = sorted(self._all_tasks() - self._tasks_before)
        shown = [
            task
            for start in range(0, len(arns), 100)
            for task in self.stack.ecs.describe_tasks(
                cluster=self.stack.cluster, tasks=arns[start : start + 100]
            )["tasks"]
        ]
        # Each launcher's override names the run, in its own way.
        return [task for task in shown if run.run_id in json.dumps(task["overrides"])]

    def tasks_left(self, run: DagsterRun) -> list[str]:
        """ARNs of those that have not stopped."""
        return [task["taskArn"] for task in self.tasks(run) if task["lastStatus"] != "STOPPED"]

    def wait_for_call(self, operation: str) -> None:
        """Waits until AWS has got this call from the contender."""
        self._wait(lambda: operation in self.account.calls(), operation)

    def wait_for_event(self, run: DagsterRun, pattern: str) -> None:
        """Waits until the run's events say something."""
        self._wait(lambda: re.search(pattern, self.said(run)) is not None, pattern)

    def wait_for_task(self, run: DagsterRun) -> str:
        """ARN of the first task that is started for a run."""
        self._wait(lambda: self.tasks(run), "a task is started")
        return str(self.tasks(run)[0]["taskArn"])

    def _wait(self, condition: Callable[[], object], what: str) -> None:
        eventually(lambda: bool(condition()), lambda: f"{what}\n{self.contender.daemon.said()}")

    def look(self, run: DagsterRun, tells: str = "", patience: float = PATIENCE_SECONDS) -> Seen:
        """Waits for the run's end, as long as ``patience`` lasts, and says what is to be seen.

        Args:
            run: The run.
            tells: Regular expression that one of its events should match.
            patience: Seconds.
        """
        ended = within(patience, lambda: self.contender.launches.read(run).is_finished)
        if ended:
            within(_STOP_SECONDS, lambda: not self.tasks_left(run) and not self._slots(run))
        return Seen(
            status=self.contender.launches.read(run).status.value,
            ended=self.contender.launches.read(run).is_finished,
            executed=self._count(run, "probe ran at "),
            finished=bool(self._events(run, DagsterEventType.STEP_SUCCESS)),
            tasks=len(self.tasks(run)),
            tasks_left=len(self.tasks_left(run)),
            slots_left=self._slots(run),
            told=bool(re.search(tells, self.said(run))),
            seconds=round(self._seconds(run), 1),
        )

    def said(self, run: DagsterRun) -> str:
        """All that the run's engine events and its failure say."""
        kinds = {
            DagsterEventType.ENGINE_EVENT,
            DagsterEventType.RUN_FAILURE,
            DagsterEventType.RUN_CANCELED,
        }
        return "\n".join(
            record.message + str(record.dagster_event and record.dagster_event.event_specific_data)
            for record in self._events(run, *kinds)
        )

    def clear(self) -> None:
        """Takes the faults away, and ends what is left of all runs."""
        self.account.forget()
        self.go()
        for run in self._runs:
            if not self.contender.launches.read(run).is_finished:
                self.contender.instance.report_run_canceled(run, message="The test is over.")
            for arn in self.tasks_left(run):
                self.stack.stop(arn)
        within(_STOP_SECONDS, lambda: not any(self._slots(run) for run in self._runs))

    def _seconds(self, run: DagsterRun) -> float:
        record = self.contender.instance.get_run_record_by_id(run.run_id)
        assert record is not None
        return (record.end_time or time.time()) - record.create_timestamp.timestamp()

    def _events(self, run: DagsterRun, *kinds: DagsterEventType) -> list[Any]:
        return list(self.contender.instance.all_logs(run.run_id, of_type=set(kinds) or None))

    def _count(self, run: DagsterRun, beginning: str) -> int:
        return sum(entry.user_message.startswith(beginning) for entry in self._events(run))

    def _slots(self, run: DagsterRun) -> int:
        return sum(holder.run_id == run.run_id for holder in self.stack.slots.holders())

    def _all_tasks(self) -> set[str]:
        pages = self.stack.ecs.get_paginator("list_tasks")
        return {
            arn
            for status in ("RUNNING", "STOPPED")
            for page in pages.paginate(cluster=self.stack.cluster, desiredStatus=status)
            for arn in page["taskArns"]
        }

    def _with_definition(self, run: DagsterRun, definition: str) -> DagsterRun:
        """The run, stored again as if its code location advertised another task definition."""
        origin = run.job_code_origin
        assert origin is not None
        context = {
            "run_isolation": {"task_definition": definition},
            "ecs": {"task_definition_arn": definition},
        }
        repository = origin.repository_origin._replace(container_context=context)
        changed = run._replace(job_code_origin=origin._replace(repository_origin=repository))
        self.contender.instance.delete_run(run.run_id)
        return self.contender.instance.add_run(changed)


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    """Whether it comes true in time."""
    try:
        return eventually(condition, "", seconds)
    except TimeoutError:
        return False
