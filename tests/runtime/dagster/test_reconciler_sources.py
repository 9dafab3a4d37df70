"""The reconciler: what is over goes, what is doubtful stays."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
from dagster import (
    DagsterEvent,
    DagsterEventType,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
)
from dagster._core.workspace.load_target import EmptyWorkspaceTarget
from dagster._daemon.controller import daemon_controller_from_instance, get_daemon_statuses

from run_isolation import Holder, NonIsolatedRuns, tag_names
from run_isolation.dagster import run_record
from run_isolation.dagster.daemon import ReconcilerDaemon, generate_daemons
from run_isolation.dagster.deployment import Deployment
from run_isolation.dagster.over_runs import OverRuns
from run_isolation.dagster.reconciler_sources import make_reconciler
from run_isolation.dagster.standing.client import ServerSilentError, StandingServer
from run_isolation.isolated.orphans import TEARDOWN_SECONDS
from run_isolation.server_identity import ServerIdentity
from run_isolation.slots.decision import Kind
from run_isolation.start_run_timers import ABANDONED_SECONDS
from tests.runtime.dagster.account import CONTROL_PORT, LOCATION, Stack
from tests.runtime.dagster.launches import Launches
from tests.waiting import eventually

NOBODY = "127.0.0.1:9"
UNKNOWN = "arn:aws:ecs:us-east-1:000000000000:task/run-isolation-test/y"


@dataclass
class Passes:
    """Passes of one reconciler, at times that the test says."""

    launches: Launches
    stack: Stack

    def __post_init__(self) -> None:
        self.now = 0.0
        logger = logging.getLogger("test")
        self.reconciler = make_reconciler(Deployment(), self.launches.instance, logger)
        self.reconciler.clock = lambda: self.now
        self.reconciler.ends.monotonic = lambda: self.now  # type: ignore[attr-defined]

    def after(self, seconds: float) -> list[str]:
        """Why holders were removed in a pass that is this much later."""
        self.now += seconds
        return [removed.why for removed in self.reconciler.reconcile()]

    def hold(self, run: DagsterRun, server: ServerIdentity | None = None) -> None:
        self.stack.slots.acquire(Holder(run.run_id, 1, LOCATION))
        if server is not None:
            assert self.stack.slots.host(run.run_id, 1, server)


@pytest.fixture
def passes(launches: Launches, stack: Stack) -> Passes:
    stack.configure(NonIsolatedRuns(enabled=True, max_concurrent_non_isolated_runs=10))
    return Passes(launches, stack)


def test_without_holders_a_pass_is_one_read(passes: Passes, stack: Stack) -> None:
    passes.after(0)
    stack.account.forget()
    assert passes.after(10) == []
    assert stack.account.calls() == ["GetItem"]


def test_runs_that_storage_knows_to_be_over_go_at_once(
    passes: Passes, launches: Launches, stack: Stack
) -> None:
    instance = launches.instance
    deleted, ended, queued, suspended, isolated = (launches.create() for _ in range(5))
    for run in (deleted, ended, queued, suspended, isolated):
        passes.hold(run)
    instance.delete_run(deleted.run_id)
    instance.report_run_failed(ended)
    instance.report_dagster_event(DagsterEvent.job_enqueue(queued), run_id=queued.run_id)
    suspend = DagsterEvent(DagsterEventType.RUN_SUSPENDED.value, job_name=suspended.job_name)
    instance.report_dagster_event(suspend, run_id=suspended.run_id)
    run_record.write(instance, launches.read(isolated), kind=Kind.ISOLATED)
    assert sorted(passes.after(0)) == [
        "the run became isolated",
        "the run has ended (FAILURE)",
        "the run is QUEUED and has no process",
        "the run is SUSPENDED and has no process",
        "the run was deleted",
    ]
    assert stack.slots.holders() == ()


def test_a_run_of_a_later_version_keeps_its_slot_and_the_others_go(
    passes: Passes, launches: Launches, stack: Stack
) -> None:
    later, deleted = launches.create(), launches.create()
    for run in (later, deleted):
        passes.hold(run)
    run_record.write(launches.instance, later, kind=Kind.NON_ISOLATED)
    launches.instance.add_run_tags(later.run_id, {tag_names.KIND: "delegated"})
    launches.instance.delete_run(deleted.run_id)
    assert passes.after(0) == ["the run was deleted"]
    assert [holder.run_id for holder in stack.slots.holders()] == [later.run_id]


def test_a_stopped_task_takes_its_runs_along(
    passes: Passes, launches: Launches, stack: Stack, standing_task: str
) -> None:
    dead = stack.run_task(stack.register("dead", ["false"]))
    eventually(lambda: stack.describe(dead)["lastStatus"] == "STOPPED")
    for task_arn in (dead, dead, standing_task):
        passes.hold(launches.create(), ServerIdentity(task_arn, NOBODY))
    stack.account.forget()
    reasons = passes.after(0)
    assert len(reasons) == 2
    assert all(dead in why and "exit code 1" in why for why in reasons)
    # All holders at once.
    assert stack.account.calls().count("DescribeTasks") == 1
    # A silent server of a live task: nothing is known, so the slot stays.
    assert passes.after(1000) == []
    assert len(stack.slots.holders()) == 1


def test_a_task_that_ecs_has_forgotten_takes_its_runs_along(
    passes: Passes, launches: Launches, stack: Stack
) -> None:
    passes.hold(launches.create(), ServerIdentity(UNKNOWN, NOBODY))
    assert passes.after(0) == [f"its task {UNKNOWN} is not known to ECS and does not answer"]
    assert stack.slots.holders() == ()


def test_runs_that_a_live_server_disowns_go(
    passes: Passes, launches: Launches, stack: Stack, standing_task: str
) -> None:
    address = f"{stack.address(standing_task)}:{CONTROL_PORT}"
    passes.hold(launches.create(), ServerIdentity(standing_task, address))
    # Another task has had the address since.
    passes.hold(launches.create(), ServerIdentity(standing_task + "0", address))
    assert len(passes.after(0)) == 2
    assert stack.slots.holders() == ()


def test_a_run_that_is_going_on_stays(
    passes: Passes, launches: Launches, stack: Stack, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    run = launches.launch(config={"wait_for": str(go)})
    assert passes.after(0) == passes.after(1000) == []
    assert [holder.run_id for holder in stack.slots.holders()] == [run.run_id]
    go.touch()
    launches.ended(run)


ENDED_BY_OTHERS: dict[str, Callable[[DagsterInstance, DagsterRun], object]] = {
    "deleted": lambda instance, run: instance.delete_run(run.run_id),
    "marked as canceled": DagsterInstance.report_run_canceled,
    "timed out": DagsterInstance.report_run_failed,
}


@pytest.mark.parametrize("how", ENDED_BY_OTHERS)
def test_a_process_whose_run_is_over_is_ended_and_its_neighbour_is_not(
    passes: Passes, launches: Launches, stack: Stack, tmp_path: Path, how: str
) -> None:
    neighbour, over = (
        launches.launch(
            config={
                "report_to": str(tmp_path / f"{name}.json"),
                "wait_for": str(tmp_path / f"{name}-go"),
            }
        )
        for name in ("neighbour", "over")
    )
    eventually((tmp_path / "neighbour.json").exists)
    eventually((tmp_path / "over.json").exists)
    ENDED_BY_OTHERS[how](launches.instance, launches.read(over))

    # The slot is free when the process has ended, and no sooner.
    assert passes.after(0) == []
    eventually(lambda: [one.run_id for one in stack.slots.holders()] == [neighbour.run_id])
    with pytest.raises(ProcessLookupError):
        os.kill(json.loads((tmp_path / "over.json").read_text())["pid"], 0)
    assert passes.after(1000) == []
    (tmp_path / "neighbour-go").touch()
    assert launches.ended(neighbour).status is DagsterRunStatus.SUCCESS


def test_what_storage_says_frees_no_slot_whose_process_goes_on(
    passes: Passes, launches: Launches, stack: Stack, cancels: Cancels
) -> None:
    """A server that does not hear, or whose process does not."""
    run = launches.create()
    server = hosting(passes, run, cancels)
    launches.instance.report_run_failed(launches.read(run))
    assert passes.after(0) == passes.after(1000) == []
    assert cancels.asked == [run.run_id] * 2
    assert stack.slots.holders()[0].hosted_by == server


@dataclass
class Cancels:
    """A server that has a run's process, and does nothing about a cancel."""

    asked: list[str] = field(default_factory=list)
    silent: bool = False

    def cancel_run(self, run_id: str) -> bool:
        self.asked.append(run_id)
        if self.silent:
            raise ServerSilentError("no.")
        return True


@pytest.fixture
def cancels(monkeypatch: pytest.MonkeyPatch) -> Cancels:
    cancels = Cancels()
    monkeypatch.setattr(StandingServer, "cancel_run", lambda _, run_id: cancels.cancel_run(run_id))
    return cancels


def hosting(passes: Passes, run: DagsterRun, cancels: Cancels) -> ServerIdentity:
    """Has the run be one that the server says it has."""
    run_record.write(passes.launches.instance, run, kind=Kind.NON_ISOLATED, attempt=1)
    server = ServerIdentity(UNKNOWN, NOBODY)
    passes.hold(run, server)
    passes.reconciler.tasks = SimpleNamespace(states=lambda arns: {})
    passes.reconciler.servers = SimpleNamespace(current_runs=lambda _: frozenset({run.run_id}))
    return server


def ends_by_itself(launches: Launches, run: DagsterRun) -> None:
    """Its own process stores the end: that notes itself by its events."""
    event = DagsterEvent(DagsterEventType.RUN_SUCCESS.value, job_name=run.job_name, pid=4711)
    launches.instance.report_dagster_event(event, run_id=run.run_id)


def test_a_run_that_tears_down_after_its_end_has_its_time(
    passes: Passes, launches: Launches, cancels: Cancels
) -> None:
    run = launches.create()
    hosting(passes, run, cancels)
    ends_by_itself(launches, run)
    ends = passes.reconciler.ends
    assert isinstance(ends, OverRuns)
    began = time.time()
    ends.clock = lambda: began + TEARDOWN_SECONDS - 10
    assert passes.after(0) == []
    assert cancels.asked == []
    ends.clock = lambda: began + TEARDOWN_SECONDS + 10
    assert passes.after(0) == []
    assert cancels.asked == [run.run_id]


def test_a_server_is_asked_again_where_it_has_not_heard(
    passes: Passes, launches: Launches, cancels: Cancels
) -> None:
    run = launches.create()
    hosting(passes, run, cancels)
    launches.instance.report_run_failed(run)
    cancels.silent = True
    assert passes.after(0) == passes.after(10) == []
    cancels.silent = False
    assert passes.after(10) == passes.after(10) == []
    # Each cancel gives the process its time to end: not one a pass.
    assert cancels.asked == [run.run_id] * 3


def test_an_empty_database_ends_nothing(
    passes: Passes, launches: Launches, cancels: Cancels
) -> None:
    """The daemon may be pointed at another one by mistake."""
    run = launches.create()
    hosting(passes, run, cancels)
    other = launches.create()
    launches.instance.delete_run(run.run_id)
    assert passes.after(0) == []
    assert cancels.asked == []
    run_record.write(launches.instance, other, kind=Kind.NON_ISOLATED, attempt=1)
    assert passes.after(0) == []
    assert cancels.asked == [run.run_id]


def test_a_launch_that_was_given_up_halfway_goes_in_time(
    passes: Passes, launches: Launches
) -> None:
    passes.hold(launches.create())
    assert passes.after(0) == []
    assert passes.after(ABANDONED_SECONDS - 1) == []
    assert passes.after(1) == ["its launch was given up halfway"]


def test_without_an_answer_of_ecs_nothing_is_concluded(
    passes: Passes, launches: Launches, stack: Stack
) -> None:
    passes.hold(launches.create(), ServerIdentity(UNKNOWN, NOBODY))
    stack.account.fault("error", operation="DescribeTasks", code="AccessDeniedException")
    assert passes.after(0) == []


def test_it_runs_among_dagsters_daemons_and_its_heartbeat_counts(
    launches: Launches, stack: Stack
) -> None:
    instance = launches.instance
    stack.slots.acquire(Holder("deleted", 1, LOCATION))
    with daemon_controller_from_instance(
        instance, EmptyWorkspaceTarget(), gen_daemons=generate_daemons
    ):
        eventually(lambda: stack.slots.holders() == ())
        name = ReconcilerDaemon.daemon_type()
        eventually(lambda: get_daemon_statuses(instance, [name])[name].healthy)
