"""Launches that are turned away: the run waits in Dagster's queue, and no thread waits for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

from run_isolation import LaunchFailedError, passing_trouble
from run_isolation.dagster import run_record
from run_isolation.dagster.deployment import Deployment
from run_isolation.dagster.launch.isolated_launch import IsolatedLauncher
from run_isolation.dagster.launch.waiting_queue import WaitingQueue
from run_isolation.isolated.retries import LONGEST_PAUSE_SECONDS, Wait
from run_isolation.isolated.run_task import started_by
from tests.runtime.dagster.account import Stack
from tests.runtime.dagster.launches import Launches

NO_CAPACITY = "Capacity is unavailable at this time"
VCPUS = "You've reached the limit on the number of vCPUs you can run concurrently"
ALWAYS = None
IN_DAGSTERS_THREAD_SECONDS = 5.0
"""The most that a launch may take of the one thread in which Dagster launches all runs. It takes a
fifth of a second on a quiet machine, and took half a minute."""


@dataclass
class Clock:
    """Seconds of the epoch, as the test has them."""

    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def launcher(stack: Stack, clock: Clock) -> IsolatedLauncher:
    return IsolatedLauncher(Deployment(), clock=clock)


def throttle(stack: Stack, **more: Any) -> None:
    stack.account.fault(
        "error", code="ThrottlingException", message="Rate exceeded", **{"times": ALWAYS, **more}
    )


def credentials_late(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.mark.parametrize(
    ("trouble", "answer"),
    [
        (lambda stack, _: throttle(stack, operation="RunTask"), "Rate exceeded"),
        (
            lambda stack, _: stack.account.fault(
                "error",
                operation="RunTask",
                code="InvalidParameterException",
                message="Error: Request limit exceeded. (RequestLimitExceeded)",
                times=ALWAYS,
            ),
            "Request limit exceeded",
        ),
        (lambda stack, _: stack.account.fault("run_task_failures", times=ALWAYS), NO_CAPACITY),
        (
            lambda stack, _: stack.account.fault(
                "run_task_failures", failures=[{"reason": VCPUS}], times=ALWAYS
            ),
            VCPUS,
        ),
        (lambda stack, _: throttle(stack, service="ssm"), "Rate exceeded"),
        (credentials_late, "Unable to locate credentials"),
    ],
    ids=["throttle", "EC2's throttle", "capacity", "quota", "manifest", "credentials"],
)
def test_a_launch_that_is_turned_away_waits_in_the_queue(
    launches: Launches, stack: Stack, clock: Clock, trouble: Callable[..., None], answer: str
) -> None:
    """Not in the dequeuer's thread, nor as a run in progress that its start timeout would fail."""
    run = launches.submit(launches.create())
    starting = launches.starting(run)
    began = time.monotonic()
    with pytest.MonkeyPatch.context() as patch:
        trouble(stack, patch)
        assert not IsolatedLauncher(Deployment(), clock=clock).launch(launches.instance, starting)
    assert time.monotonic() - began < IN_DAGSTERS_THREAD_SECONDS

    assert launches.read(run).status is DagsterRunStatus.QUEUED
    wait = run_record.read(launches.read(run)).wait
    assert wait is not None
    assert 8 <= wait.until - clock.now <= 10
    (told,) = [event for event in launches.events(run) if "There is no task" in event]
    assert answer in told
    assert "`run-isolation daemon` makes attempt" in told

    stack.account.forget()
    launcher = IsolatedLauncher(Deployment(), clock=clock)
    assert launcher.go_on(launches.instance, launches.read(run))
    assert len(stack.tasks_of(started_by(run.run_id))) == 1
    assert run_record.read(launches.read(run)).wait is None
    launches.starting(run)
    assert launches.ended(run).status is DagsterRunStatus.SUCCESS


def test_a_launcher_that_stood_still_gives_no_run_back_that_another_one_launched(
    launches: Launches, stack: Stack, launcher: IsolatedLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dagster stores the status of an event over whatever is there: it would run again."""
    throttle(stack, operation="RunTask")
    run = launches.starting(launches.submit(launches.create()))
    report = DagsterInstance.report_engine_event

    def late(self: DagsterInstance, *args: Any, **more: Any) -> None:
        report(self, *args, **more)
        run_record.write(self, launches.read(run), task_arn="arn:task/another")
        launches.started(run)

    monkeypatch.setattr(DagsterInstance, "report_engine_event", late)
    assert not launcher.launch(launches.instance, run)
    assert launches.read(run).status is DagsterRunStatus.STARTED


def test_a_throttle_is_one_call(
    launches: Launches, stack: Stack, launcher: IsolatedLauncher
) -> None:
    """The SDK would repeat it, and sleep between, in the thread in which all runs are launched."""
    throttle(stack, operation="RunTask")
    run = launches.starting(launches.submit(launches.create()))
    assert not launcher.launch(launches.instance, run)
    assert len(stack.account.sent("RunTask")) == 1


def test_a_run_that_waits_for_hours_says_so_once_a_minute_at_most(
    launches: Launches, stack: Stack, launcher: IsolatedLauncher, clock: Clock
) -> None:
    stack.account.fault("run_task_failures", failures=[{"reason": VCPUS}], times=ALWAYS)
    run = launches.starting(launches.submit(launches.create()))
    before = len(launches.instance.all_logs(run.run_id))
    began, tries = clock.now, 0
    assert not launcher.launch(launches.instance, run)
    while clock.now < began + 600:
        wait = run_record.read(launches.read(run)).wait
        assert wait is not None
        clock.now, tries = wait.until, tries + 1
        assert not launcher.go_on(launches.instance, launches.read(run))
    assert tries >= 8
    # One is Dagster's own, of the run's way back into the queue.
    assert len(launches.instance.all_logs(run.run_id)) - before <= 1 + 10
    assert launches.read(run).status is DagsterRunStatus.QUEUED
    assert any("minutes" in event for event in launches.events(run))


def test_what_is_refused_for_longer_than_changes_take_fails_the_run_and_says_why(
    launches: Launches, stack: Stack, launcher: IsolatedLauncher, clock: Clock
) -> None:
    denied = "User: u is not authorized to perform: iam:PassRole on resource: arn:role"
    stack.account.fault(
        "error", operation="RunTask", code="AccessDeniedException", message=denied, times=ALWAYS
    )
    run = launches.starting(launches.submit(launches.create()))
    assert not launcher.launch(launches.instance, run)
    clock.now += passing_trouble.SETTLING_SECONDS - 1
    assert not launcher.go_on(launches.instance, launches.read(run))
    assert launches.read(run).status is DagsterRunStatus.QUEUED
    assert any("Allow iam:PassRole on arn:role" in message for message in launches.events(run))

    clock.now += 1
    with pytest.raises(LaunchFailedError, match="Allow iam:PassRole on arn:role"):
        launcher.go_on(launches.instance, launches.read(run))


class Queue:
    """Dagster's own dequeuer, pass by pass."""

    def __init__(self, launches: Launches, launcher: IsolatedLauncher, clock: Clock) -> None:
        self._context: Any = SimpleNamespace(
            instance=launches.instance, create_request_context=launches.workspace
        )
        self._daemon = QueuedRunCoordinatorDaemon(interval_seconds=5)
        WaitingQueue(launcher, clock, toss=lambda: True).join(self._daemon)

    def look(self) -> float:
        """One pass. Returns the seconds that it took."""
        began = time.monotonic()
        assert [trouble for trouble in self._daemon.run_iteration(self._context) if trouble] == []
        return time.monotonic() - began


@pytest.fixture
def queue(launches: Launches, launcher: IsolatedLauncher, clock: Clock) -> Queue:
    return Queue(launches, launcher, clock)


def test_a_run_that_waits_is_tried_in_its_time_and_keeps_no_other_waiting(
    launches: Launches, stack: Stack, queue: Queue, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launches.instance.run_coordinator, "_max_concurrent_runs", 1)
    stack.account.fault("run_task_failures", failures=[{"reason": VCPUS}], times=ALWAYS)
    first = launches.submit(launches.create())
    # By the clock of the daemon, which is the launcher's that Dagster has made.
    assert queue.look() < IN_DAGSTERS_THREAD_SECONDS
    wait = run_record.read(launches.read(first)).wait
    assert wait is not None
    assert launches.read(first).status is DagsterRunStatus.QUEUED

    stack.account.forget()
    clock.now = wait.until - 1
    second = launches.submit(launches.create())
    queue.look()
    assert run_record.read(launches.read(second)).task_arn is not None
    assert len(stack.account.sent("RunTask")) == 1
    assert launches.ended(second).status is DagsterRunStatus.SUCCESS

    stack.account.fault("run_task_failures", failures=[{"reason": VCPUS}])
    events = len(launches.instance.all_logs(first.run_id))
    clock.now = wait.until
    assert queue.look() < IN_DAGSTERS_THREAD_SECONDS
    assert launches.read(first).status is DagsterRunStatus.QUEUED
    assert len(launches.instance.all_logs(first.run_id)) == events
    queue.look()
    assert len(stack.account.sent("RunTask")) == 2

    wait = run_record.read(launches.read(first)).wait
    assert wait is not None
    assert wait.tries == 2
    clock.now = wait.until
    queue.look()
    assert launches.ended(first).status is DagsterRunStatus.SUCCESS
    assert len(stack.tasks_of(started_by(first.run_id))) == 1


def test_runs_for_which_the_quota_is_too_small_at_once_all_succeed_one_after_the_other(
    launches: Launches, stack: Stack, queue: Queue, clock: Clock
) -> None:
    """New accounts have few vCPUs. The rest fell to the start timeout."""
    runs = [launches.submit(launches.create()) for _ in range(3)]
    used = sum(
        int(task["cpu"])
        for arn in stack.ecs.list_tasks(cluster=stack.cluster)["taskArns"]
        for task in [stack.describe(arn)]
    )
    stack.account.change(vcpus=used / 1024 + 1)
    try:
        while waiting := [run for run in map(launches.read, runs) if not run.is_finished]:
            clock.now += LONGEST_PAUSE_SECONDS
            queue.look()
            for run in map(launches.read, waiting):
                if run.status is not DagsterRunStatus.QUEUED:
                    task_arn = run_record.read(run).task_arn
                    assert task_arn is not None
                    launches.ended(run)
                    stack.wait_for_stopped(task_arn)
    finally:
        stack.account.change(vcpus=1_000_000)
    assert {launches.read(run).status for run in runs} == {DagsterRunStatus.SUCCESS}
    assert [len(stack.tasks_of(run.run_id)) for run in runs] == [1, 1, 1]
    told = [text for run in runs for text in launches.events(run) if "There is no task" in text]
    assert told


def test_a_run_that_waited_and_may_have_a_task_now_is_the_watchers(
    launches: Launches, stack: Stack, queue: Queue, clock: Clock
) -> None:
    """Its worker waits for the launcher to say so, and a try of the queue comes minutes later."""
    run = launches.submit(launches.create())
    run_record.write(launches.instance, run, wait=Wait(since=0, until=0))
    clock.now = time.time()  # as has the launcher that Dagster makes
    stack.account.fault("lost_response", operation="RunTask", times=2)
    queue.look()
    assert launches.read(run).status is not DagsterRunStatus.QUEUED
    assert len(stack.account.sent("RunTask")) == 2
    assert launches.ended(run).status is DagsterRunStatus.SUCCESS
    assert len(stack.tasks_of(started_by(run.run_id))) == 1


def test_a_run_that_must_fail_is_failed_by_dagster_with_the_reason(
    launches: Launches, stack: Stack, queue: Queue, clock: Clock
) -> None:
    run = launches.submit(launches.create())
    run_record.write(launches.instance, run, wait=Wait(since=0, until=0))
    stack.account.fault(
        "error",
        operation="RunTask",
        code="InvalidParameterException",
        message="No such size.",
        times=2,
    )
    list(queue._daemon.run_iteration(queue._context))
    assert launches.read(run).status is DagsterRunStatus.FAILURE
    assert "No such size." in str(launches.instance.all_logs(run.run_id))


def test_trouble_with_one_run_is_not_the_others(
    launches: Launches, stack: Stack, clock: Clock
) -> None:
    class Broken:
        def go_on(self, instance: DagsterInstance, run: DagsterRun) -> bool:
            raise KeyError(run.run_id)

    waiting, new = (launches.submit(launches.create()) for _ in range(2))
    run_record.write(launches.instance, waiting, wait=Wait(since=0, until=0))
    queue = Queue(launches, Broken(), clock)  # type: ignore[arg-type]
    queue.look()
    assert launches.read(waiting).status is DagsterRunStatus.QUEUED
    assert launches.ended(new).status is DagsterRunStatus.SUCCESS


def test_a_version_of_dagster_that_is_built_otherwise_is_left_as_it_is(
    caplog: pytest.LogCaptureFixture,
) -> None:
    dequeuer = SimpleNamespace(_dequeue_run=len)
    WaitingQueue(None).join(dequeuer)  # type: ignore[arg-type]
    assert vars(dequeuer) == {"_dequeue_run": len}
    assert "_priority_sort" in caplog.text
