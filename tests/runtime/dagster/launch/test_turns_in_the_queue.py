"""In which order runs that wait have their turn: Dagster's own dequeuer, with its limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.remote_origin import (
    GrpcServerCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.test_utils import create_run_for_test, instance_for_test
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

from run_isolation.dagster import run_record
from run_isolation.dagster.launch.waiting_queue import MOST_TRIES, WaitingQueue
from run_isolation.isolated.retries import LONGEST_PAUSE_SECONDS, Wait
from run_isolation.slots.decision import Kind


def waiting(name: str, until: float | None = None) -> DagsterRun:
    """A run of the queue."""
    tags = {run_record.OWNER: name, "run_isolation/kind": Kind.ISOLATED.value}
    if until is not None:
        tags[".dagster/run_isolation_wait"] = Wait(since=until - 10, until=until).to_tag()
    return DagsterRun(job_name="job", run_id=name, tags=tags)


@pytest.mark.parametrize(
    ("toss", "order"), [(True, ["late", "new", "due"]), (False, ["new", "late", "due"])]
)
def test_neither_new_runs_nor_those_that_wait_keep_the_others_from_their_places(
    toss: bool, order: list[str]
) -> None:
    queue = WaitingQueue(None, lambda: 100.0, lambda: toss)  # type: ignore[arg-type]
    runs = [waiting("due", 100), waiting("new"), waiting("late", 90), waiting("not yet", 101)]
    assert [run.run_id for run in queue.without_those_that_wait(runs)] == order


ORIGIN = RemoteJobOrigin(
    RemoteRepositoryOrigin(GrpcServerCodeLocationOrigin(host="h", port=1), "repository"), "job"
)


@dataclass
class Busy:
    """Gives no task, and says when the next try is due."""

    now: float = 1_000_000.0
    """Seconds of the epoch, as the test has them."""
    tried: list[str] = field(default_factory=list)

    def go_on(self, instance: DagsterInstance, run: DagsterRun) -> bool:
        self.tried.append(run.run_id)
        until = self.now + LONGEST_PAUSE_SECONDS
        run_record.write(instance, run, wait=Wait(since=0, until=until))
        return False


def stored(instance: DagsterInstance, *, tags: Mapping[str, str] | None = None) -> DagsterRun:
    """A run that waits in the queue."""
    run: DagsterRun = create_run_for_test(
        instance, status=DagsterRunStatus.QUEUED, tags=tags, remote_job_origin=ORIGIN
    )
    run_record.write(instance, run, kind=Kind.ISOLATED, wait=Wait(since=0, until=0))
    return run


def queue_of(instance: DagsterInstance, busy: Busy) -> Callable[[], object]:
    """Dagster's own dequeuer of an instance of its own; a pass of it."""
    context: Any = SimpleNamespace(instance=instance, create_request_context=lambda: None)
    daemon = QueuedRunCoordinatorDaemon(interval_seconds=5)
    WaitingQueue(busy, lambda: busy.now, toss=lambda: True).join(daemon)
    return lambda: list(daemon.run_iteration(context))


def queued_by(**limits: Any) -> AbstractContextManager[DagsterInstance]:
    """An instance with a queue."""
    module = {"module": "dagster.core.run_coordinator", "class": "QueuedRunCoordinator"}
    return instance_for_test(overrides={"run_coordinator": {**module, "config": limits}})


def test_a_pass_tries_few_of_those_that_wait_and_all_have_their_turn() -> None:
    """Those at the head of a long queue are due again before its end was tried once."""
    busy = Busy()
    with queued_by(max_concurrent_runs=-1) as instance:
        look = queue_of(instance, busy)
        runs = {stored(instance).run_id for _ in range(3 * MOST_TRIES)}
        for tried in range(1, 4):
            look()
            assert len(busy.tried) == tried * MOST_TRIES
            busy.now += LONGEST_PAUSE_SECONDS
    assert set(busy.tried) == runs


def test_runs_that_a_limit_of_dagsters_keeps_keep_no_other_run_that_waits() -> None:
    busy = Busy()
    limit = {"key": "team", "value": "a", "limit": 0}
    with queued_by(tag_concurrency_limits=[limit]) as instance:
        look = queue_of(instance, busy)
        for _ in range(MOST_TRIES):
            stored(instance, tags={"team": "a"})
        other = stored(instance)
        look()
    assert busy.tried == [other.run_id]
