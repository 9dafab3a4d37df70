"""The reconciler: what is over goes, what is doubtful stays."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import pytest
from dagster import DagsterEvent, DagsterEventType, DagsterRun, DagsterRunStatus
from dagster._core.workspace.load_target import EmptyWorkspaceTarget
from dagster._daemon.controller import daemon_controller_from_instance, get_daemon_statuses

from run_isolation import Holder, NonIsolatedRuns, tag_names
from run_isolation.dagster import run_record
from run_isolation.dagster.daemon import ReconcilerDaemon, generate_daemons
from run_isolation.dagster.deployment import Deployment
from run_isolation.dagster.reconciler_sources import make_reconciler
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


@pytest.mark.parametrize("how", ["marked as failed", "deleted"])
def test_what_storage_says_frees_no_slot_whose_process_goes_on(
    passes: Passes, launches: Launches, stack: Stack, tmp_path: Path, how: str
) -> None:
    stack.configure(NonIsolatedRuns(enabled=True))
    go, place = tmp_path / "go", tmp_path / "place.json"
    run = launches.launch(config={"report_to": str(place), "wait_for": str(go)})
    eventually(place.exists)
    if how == "deleted":
        launches.instance.delete_run(run.run_id)
    else:
        launches.instance.report_run_failed(launches.read(run))

    assert passes.after(0) == passes.after(1000) == []
    assert launches.launch().status is DagsterRunStatus.QUEUED  # denied
    go.touch()
    eventually(lambda: stack.slots.holders() == ())


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
