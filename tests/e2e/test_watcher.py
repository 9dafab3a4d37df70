"""Isolated runs whose launcher or task dies before they begin: each executes once, all the same."""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter

import pytest

from localaws.account import LocalAccount
from localaws.faults import DeadTask, Delay, Fault, LostRequest, SlowTask
from run_isolation.isolated.waiting_runs import LAUNCH_SECONDS
from tests.e2e.dagster_deployment import DagsterDeployment
from tests.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.one_storage]

NO_INTERFACE = "Timeout waiting for network interface provisioning to complete."


@pytest.fixture(autouse=True)
def without_faults(account: LocalAccount) -> Iterator[None]:
    yield
    account.faults.clear()


@pytest.fixture
def quick_daemon(deployment: DagsterDeployment) -> Iterator[None]:
    """The next daemon waits less for a launcher that might still be at work."""
    daemon, before = deployment.daemon, deployment.daemon.command
    daemon.command = ["python", "-m", "quick_daemon"]
    yield
    daemon.command = before
    daemon.stop()
    daemon.start()


@pytest.mark.usefixtures("quick_daemon")
@pytest.mark.parametrize(
    ("fault", "comes"),
    [
        # RunTask is carried out when nobody waits for its answer any more.
        (Delay(operation="RunTask", seconds=3.0), True),
        # It never reaches ECS, however often the SDK repeats it.
        (LostRequest(operation="RunTask", times=None), False),
    ],
    ids=["the answer is lost", "the request is lost"],
)
def test_a_daemon_that_is_killed_in_its_launch_loses_no_run(
    deployment: DagsterDeployment, account: LocalAccount, fault: Fault, comes: bool
) -> None:
    struck = account.faults.add(fault)
    if comes:
        # Its worker would note the task, too, but not before the daemon is back.
        account.faults.add(SlowTask(seconds=20.0))
    run = deployment.launch(asked=False, held=False)
    struck.wait_for_hit(timeout=30)
    deployment.daemon.kill()
    account.faults.remove(struck.id)
    if comes:
        eventually(lambda: deployment.tasks_of(run), "RunTask is carried out")
    assert run.task is None

    deployment.daemon.start()
    run.wait_for("SUCCESS", seconds=LAUNCH_SECONDS + 60)
    [task] = deployment.tasks_of(run)
    assert run.task == task
    if comes:
        assert any(f"Found ECS task {task}" in message for message in run.messages)


def test_a_task_that_dies_before_its_run_begins_is_followed_by_another_within_30_seconds(
    deployment: DagsterDeployment, account: LocalAccount
) -> None:
    account.faults.add(DeadTask(reason=NO_INTERFACE))
    run = deployment.launch(asked=False, held=False)
    eventually(lambda: len(deployment.tasks_of(run)) == 2, "the second task")
    tasks = map(deployment.task, deployment.tasks_of(run))
    first, second = sorted(tasks, key=itemgetter("createdAt"))
    assert (second["createdAt"] - first["stoppedAt"]).total_seconds() < 30
    run.wait_for("SUCCESS")
    assert any("Timeout waiting for network interface" in message for message in run.messages)
