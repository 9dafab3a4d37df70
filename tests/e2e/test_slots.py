"""The slot is free again, whoever dies: and the run's story ends as it should."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from tests.e2e.dagster_deployment import ON, PROBE, DagsterDeployment
from tests.e2e.page import PageError
from tests.e2e.runs import NON_ISOLATED, Run, code_server, process_of
from tests.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.one_storage]


@pytest.fixture(autouse=True)
def enabled(deployment: DagsterDeployment) -> None:
    deployment.up(ON)


def working(deployment: DagsterDeployment) -> tuple[Run, psutil.Process]:
    """A non-isolated run that holds the slot, and its process."""
    run = deployment.launch()
    process = process_of(run.wait_for_place())
    assert [holder.run_id for holder in deployment.holders] == [run.id]
    return run, process


def assert_room(deployment: DagsterDeployment) -> None:
    """The next run gets the slot, and ends well."""
    deployment.wait_for_free_slots()
    run = deployment.launch(held=False)
    assert run.kind == "non-isolated", run.reason
    run.wait_for("SUCCESS")


def assert_gone(process: psutil.Process) -> None:
    """The run's process is over too."""
    eventually(lambda: not process.is_running(), f"{process} ends")


def test_after_a_failure(deployment: DagsterDeployment) -> None:
    run = deployment.launch(fail=True)
    process = process_of(run.wait_for_place())
    assert [holder.run_id for holder in deployment.holders] == [run.id]
    run.finish("FAILURE")
    assert_gone(process)
    assert_room(deployment)


def test_after_a_cancel(deployment: DagsterDeployment) -> None:
    run, process = working(deployment)
    run.cancel()
    assert run.status == "CANCELED"
    assert_gone(process)
    assert_room(deployment)


def test_after_the_runs_process_was_killed(deployment: DagsterDeployment) -> None:
    run, process = working(deployment)
    process.kill()
    # Its server notices at once; no daemon has to find out.
    deployment.wait_for_free_slots(seconds=5)
    run.wait_for("FAILURE")
    assert_room(deployment)


def test_after_a_delete(deployment: DagsterDeployment) -> None:
    run, process = working(deployment)
    deployment.page.delete(run.id)
    # Its process goes on, and so does its use of the slot.
    second = deployment.launch(held=False)
    assert second.kind == "isolated", second.reason
    second.wait_for("SUCCESS")
    assert run.work is not None
    run.work.go.touch()
    assert_gone(process)
    assert_room(deployment)


def test_after_the_code_server_was_killed(deployment: DagsterDeployment) -> None:
    run, process = working(deployment)
    task = deployment.standing_task()
    code_server(process).kill()

    assert deployment.wait_for_stopped(task)["containers"][0]["exitCode"] == 137
    run.wait_for("FAILURE")
    assert_gone(process)
    deployment.wait_for_free_slots()
    # ECS starts another container, and the page finds it under the same name.
    eventually(lambda: deployment.serves(PROBE), "the new standing task serves")
    assert deployment.standing_task() != task
    assert_room(deployment)


def test_while_the_daemon_is_dead(deployment: DagsterDeployment) -> None:
    run, _ = working(deployment)
    deployment.daemon.kill()
    run.finish()
    deployment.wait_for_free_slots()
    assert_room(deployment)


def test_after_daemon_and_code_server_were_killed(deployment: DagsterDeployment) -> None:
    run, process = working(deployment)
    deployment.daemon.kill()
    code_server(process).kill()
    assert_gone(process)
    eventually(lambda: deployment.serves(PROBE), "a new standing task serves")
    # Nobody is left who knows: the slot waits for the daemon.
    assert [holder.run_id for holder in deployment.holders] == [run.id]

    deployment.daemon.start()
    deployment.wait_for_free_slots()
    run.wait_for("FAILURE")
    assert_room(deployment)


def test_after_the_webserver_was_killed_in_the_middle_of_a_run(
    deployment: DagsterDeployment,
) -> None:
    run, _ = working(deployment)
    deployment.webserver.kill()
    run.go()
    deployment.wait_for_free_slots()
    deployment.start_webserver()
    assert run.status == "SUCCESS"
    assert_room(deployment)


def test_after_the_webserver_was_killed_in_the_middle_of_a_launch(
    deployment: DagsterDeployment,
) -> None:
    work = deployment.work()
    with ThreadPoolExecutor() as pool:
        launch = pool.submit(
            deployment.page.launch,
            "work_job",
            location=PROBE,
            config=work.config(),
            tags=NON_ISOLATED,
        )
        [holder] = eventually(lambda: deployment.holders, "the launch takes the slot")
        run = deployment.run(holder.run_id, work)
        eventually(lambda: deployment.holders[0].hosted_by, "the server has begun to start it")
        deployment.webserver.kill()
        with pytest.raises((PageError, OSError)):
            launch.result()
    deployment.start_webserver()
    # Nobody waits for its answer any more: the server starts the run, and nobody starts it twice.
    run.finish()
    assert_room(deployment)
