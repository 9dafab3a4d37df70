"""Which daemons there are."""

from __future__ import annotations

import time

import pytest
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.workspace.load_target import EmptyWorkspaceTarget
from dagster._daemon.controller import daemon_controller_from_instance, get_daemon_statuses
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

from run_isolation import IsolatedLaunch, launch_isolated, tag_names
from run_isolation.dagster import run_record
from run_isolation.dagster.daemon import ReconcilerDaemon, WatcherDaemon, generate_daemons
from run_isolation.dagster.deployment import SWITCH
from run_isolation.isolated.retries import Wait
from run_isolation.slots.decision import Kind
from tests.runtime.dagster.account import LOCATION, Stack
from tests.runtime.dagster.launches import Launches
from tests.waiting import eventually


@pytest.mark.parametrize(("switch", "ours"), [("0", True), ("1", False)])
def test_ours_are_among_them_unless_switched_off(
    instance: DagsterInstance, switch: str, ours: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SWITCH, switch)
    types = {daemon.daemon_type() for daemon in generate_daemons(instance)}
    assert {"SENSOR", "SCHEDULER", "QUEUED_RUN_COORDINATOR"} <= types
    required = set(instance.get_required_daemon_types())
    for name in (ReconcilerDaemon.daemon_type(), WatcherDaemon.daemon_type()):
        assert (name in types) is ours
        # Those whose heartbeats the page shows.
        assert (name in required) is ours


@pytest.mark.parametrize("switch", ["0", "1"])
def test_dagsters_dequeuer_leaves_alone_what_waits(
    instance: DagsterInstance, switch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also on the way back: our launcher launches there, too."""
    monkeypatch.setenv(SWITCH, switch)
    daemons = list(generate_daemons(instance))
    [dequeuer] = [one for one in daemons if isinstance(one, QueuedRunCoordinatorDaemon)]
    wait = Wait(since=time.time(), until=time.time() + 60)
    runs = [
        DagsterRun(job_name="job", run_id=name, tags={run_record.OWNER: name, tag_names.WAIT: tag})
        for name, tag in {"new": "", "waits": wait.to_tag()}.items()
    ]
    assert [run.run_id for run in dequeuer._priority_sort(runs)] == ["new"]


def test_the_watcher_runs_among_dagsters_daemons_and_its_heartbeat_counts(
    launches: Launches, stack: Stack
) -> None:
    """Its first look finds a dead task, its first sweep a task that nobody noted."""
    instance, name = launches.instance, WatcherDaemon.daemon_type()
    dead, lost = (launches.starting(launches.create()) for _ in range(2))
    run_record.write(
        instance, dead, kind=Kind.ISOLATED, attempt=1, task_arn=stack.dead("sh", "-c", "exit 7")
    )
    run_record.write(instance, lost, kind=Kind.ISOLATED, attempt=1)
    launch = IsolatedLaunch(lost.run_id, 1, LOCATION, stack.isolated_definition)
    task_arn = launch_isolated(stack.ecs, stack.manifest, launch)
    with daemon_controller_from_instance(
        instance, EmptyWorkspaceTarget(), gen_daemons=generate_daemons
    ):
        assert "exit code 7" in launches.failure(launches.ended(dead))
        eventually(lambda: run_record.read(launches.read(lost)).task_arn == task_arn)
        eventually(lambda: get_daemon_statuses(instance, [name])[name].healthy)
    assert launches.ended(lost).status is DagsterRunStatus.SUCCESS
