"""A launcher that ends at any step, and several at work at once: one task, and the run executes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from dagster import DagsterRunStatus
from dagster._core.launcher import LaunchRunContext

from run_isolation import launch_isolated
from run_isolation.dagster import run_record
from run_isolation.dagster.deployment import Deployment
from run_isolation.dagster.launch import isolated_launch
from run_isolation.dagster.launch.isolated_launch import IsolatedLauncher
from run_isolation.isolated.waiting_runs import LAUNCH_SECONDS
from run_isolation.slots.decision import Kind
from tests.runtime.dagster.account import Stack
from tests.runtime.dagster.launches import Launches
from tests.runtime.dagster.watched import Watched

pytestmark = pytest.mark.e2e

NO_TASK = "arn:aws:ecs:us-east-1:000000000000:task/run-isolation-test/0123456789abcdef"
ENI = "Timeout waiting for network interface provisioning to complete."


class KilledError(BaseException):
    """As SIGKILL: nothing of the launcher's runs after it."""


def killed_at(call: int, *, after: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Makes a function whose n-th call is the launcher's end, before or after it is done."""

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        calls = 0

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == call and not after:
                raise KilledError
            result = function(*args, **kwargs)
            if calls == call:
                raise KilledError
            return result

        return wrapped

    return wrap


STEPS = {
    "before its first write": (run_record, "write", killed_at(1, after=False)),
    "after the attempt is stored": (run_record, "write", killed_at(1, after=True)),
    "before RunTask": (isolated_launch, "launch_isolated", killed_at(1, after=False)),
    "after RunTask": (isolated_launch, "launch_isolated", killed_at(1, after=True)),
    "before the task is noted": (run_record, "write", killed_at(2, after=False)),
    "after the task is noted": (run_record, "write", killed_at(2, after=True)),
}


@pytest.mark.parametrize("found_by", ["watcher", "sweep"])
@pytest.mark.parametrize("step", STEPS)
def test_a_launcher_that_dies_at_any_step_loses_no_run(
    launches: Launches,
    stack: Stack,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    found_by: str,
) -> None:
    run = launches.starting(launches.create(config={"seconds": 1.0}))
    module, name, kill = STEPS[step]
    with monkeypatch.context() as patch:
        patch.setattr(module, name, kill(getattr(module, name)))
        with pytest.raises(KilledError):
            launches.instance.run_launcher.launch_run(LaunchRunContext(run, launches.workspace()))
    watched = Watched(launches.instance)
    assert watched.watch() == []
    if found_by == "sweep":
        assert watched.sweep() == []
    assert watched.watch(LAUNCH_SECONDS) == []
    assert launches.ended(run).status is DagsterRunStatus.SUCCESS
    assert len(stack.tasks_of(run.run_id)) == 1
    assert run_record.read(launches.read(run)).attempt == 1


def test_a_launcher_that_stood_still_gives_way_to_who_has_gone_further(
    launches: Launches, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = launches.starting(launches.create())
    stack.account.fault("run_task_failures", times=None)

    def stand_still(*args: Any) -> str:
        run_record.write(launches.instance, run, attempt=4, task_arn=NO_TASK)
        return launch_isolated(*args)

    monkeypatch.setattr(isolated_launch, "launch_isolated", stand_still)
    assert not IsolatedLauncher(Deployment()).launch(launches.instance, run)
    assert run_record.read(launches.read(run)) == run_record.RunTags(Kind.ISOLATED, 4, NO_TASK)
    assert launches.read(run).status is DagsterRunStatus.STARTING
    assert len(stack.account.sent("RunTask")) == 1


def test_a_launcher_that_stood_still_notes_no_task_of_an_attempt_that_is_over(
    launches: Launches, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = launches.starting(launches.create())

    def stand_still(*args: Any) -> str:
        task_arn = launch_isolated(*args)
        run_record.write(launches.instance, run, attempt=2, task_arn=NO_TASK)
        return task_arn

    monkeypatch.setattr(isolated_launch, "launch_isolated", stand_still)
    assert IsolatedLauncher(Deployment()).launch(launches.instance, run)
    assert run_record.read(launches.read(run)).task_arn == NO_TASK


def test_a_launcher_still_at_work_and_two_watchers_start_one_task(
    launches: Launches, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = launches.starting(launches.submit(launches.create()))
    watchers = [Watched(launches.instance) for _ in range(2)]
    for watched in watchers:
        assert watched.watch() == []
    together = Barrier(3)

    def all_at_once(*args: Any) -> str:
        together.wait(timeout=20)
        return launch_isolated(*args)

    monkeypatch.setattr(isolated_launch, "launch_isolated", all_at_once)
    with ThreadPoolExecutor() as pool:
        late = pool.submit(IsolatedLauncher(Deployment()).launch, launches.instance, run)
        passes = [pool.submit(watched.watch, LAUNCH_SECONDS) for watched in watchers]
        late.result(timeout=30)
        assert [one.result(timeout=30) for one in passes] == [[], []]
    assert len(stack.account.sent("RunTask")) == 3
    assert len(stack.tasks_of(run.run_id)) == 1
    assert launches.ended(run).status is DagsterRunStatus.SUCCESS


def test_two_watchers_that_see_a_dead_task_start_one_other(
    launches: Launches, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.account.fault("dead_task", reason=ENI)
    run = launches.dequeue(launches.create())
    stack.wait_for_stopped(str(run_record.read(run).task_arn))
    together = Barrier(2)

    relaunch = IsolatedLauncher.relaunch

    def at_once(*args: Any) -> bool:
        together.wait(timeout=20)
        return relaunch(*args)

    monkeypatch.setattr(IsolatedLauncher, "relaunch", at_once)
    watchers = [Watched(launches.instance) for _ in range(2)]
    with ThreadPoolExecutor() as pool:
        passes = [pool.submit(watched.watch) for watched in watchers]
        assert [one.result(timeout=30) for one in passes] == [[], []]
    assert launches.ended(run).status is DagsterRunStatus.SUCCESS
    assert len(stack.tasks_of(run.run_id)) == 2
    assert run_record.read(launches.read(run)).attempt == 2
    # Both told of it, in the same words: it counts as one task that was lost.
    events = [text for text in launches.events(run) if text.startswith("Lost before")]
    assert len(events) == 2
    assert len(set(events)) == 1
