"""Processes that do one thing to one run: submit it, take it from the queue, cancel it, delete it.

Run as `python -m tests.torture.launches.actors` in the environment of a daemon. Reads lines of
number, act, run id and the step and seconds of a blow; forks a child for each, since a fork has
imported everything already; answers with the number and the exit status when the child has ended.
At that step of its act, if it has so many, a child stands still for so long, or kills itself.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final

from dagster import DagsterInstance
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import (
    QueuedRunCoordinatorDaemon,
)

from run_isolation import aws
from run_isolation.dagster import run_record
from run_isolation.dagster.deployment import Deployment
from run_isolation.dagster.launch import advertised
from run_isolation.dagster.launch.isolated_launch import IsolatedLauncher
from run_isolation.dagster.launch.waiting_queue import WaitingQueue
from run_isolation.isolated import run_task
from tests import read_once
from tests.faults.killed_launcher import steps_of_a_launch
from tests.runtime.dagster.launches import NON_ISOLATED, WEB_REQUEST
from tests.torture.launches import pace
from tests.torture.launches.troubles import Act, Blow

_POLL_SECONDS: Final = 0.02


@contextmanager
def _workspace(instance: DagsterInstance) -> Iterator[Any]:
    servers = Path(os.environ["DAGSTER_HOME"]) / "servers.yaml"
    target = WorkspaceFileTarget([str(servers)])
    with WorkspaceProcessContext(instance, target) as context:
        yield context.create_request_context(WEB_REQUEST)


def _submit(instance: DagsterInstance, run_id: str) -> None:
    run = instance.get_run_by_id(run_id)
    if run is None:
        return
    # A run that goes to the queue needs no server.
    needs_server = NON_ISOLATED.items() <= run.tags.items()
    nothing: Any = nullcontext()
    with _workspace(instance) if needs_server else nothing as workspace:
        instance.submit_run(run_id, workspace)


def _dequeue(instance: DagsterInstance, run_id: str) -> None:
    """Dagster's own way from the queue to the launcher."""
    run = instance.get_run_by_id(run_id)
    if run is None:
        return
    config = instance.get_concurrency_config()
    daemon = QueuedRunCoordinatorDaemon(interval_seconds=1)
    WaitingQueue(IsolatedLauncher(Deployment())).join(daemon)
    for chosen in daemon._priority_sort([run]):
        daemon._dequeue_run(instance, None, chosen, config, None)  # type: ignore[arg-type]


def _cancel(instance: DagsterInstance, run_id: str) -> None:
    instance.run_coordinator.cancel_run(run_id)


def _delete(instance: DagsterInstance, run_id: str) -> None:
    instance.delete_run(run_id)


def _second_task(instance: DagsterInstance, run_id: str) -> None:
    """The request of the attempt on record, with a token that ECS does not know."""
    run = instance.get_run_by_id(run_id)
    if run is None or run_record.read(run).attempt == 0:
        return
    deployment = Deployment()
    launch = run_task.IsolatedLaunch(
        run_id,
        run_record.read(run).attempt,
        run.remote_job_origin.location_name if run.remote_job_origin else "",
        advertised.task_definition(run),
        tags=run.tags,
        job=run.job_name,
    )
    request = run_task.request(deployment.manifest, launch)
    deployment.ecs.run_task(**{**request, "clientToken": f"forgotten-{time.time_ns()}"})


_ACTS: Final[Mapping[Act, Callable[[DagsterInstance, str], None]]] = {
    Act.SUBMIT: _submit,
    Act.DEQUEUE: _dequeue,
    Act.CANCEL: _cancel,
    Act.DELETE: _delete,
    Act.SECOND_TASK: _second_task,
}


def _do(act: Act, run_id: str, blow: Blow) -> None:
    def strike(step: str) -> None:
        _say(f"{act} {run_id} is struck {step}: {blow.seconds} s")
        if not blow.seconds:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(blow.seconds)

    pace.hurry()
    with DagsterInstance.get() as instance:
        steps_of_a_launch(instance, blow.step, strike)
        _ACTS[act](instance, run_id)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _fork(act: Act, run_id: str, blow: Blow) -> int:
    child = os.fork()
    if child:
        return child
    try:
        _do(act, run_id, blow)
    except Exception as error:
        # Of the account's faults; whoever clicked or dequeued sees it, and the run goes its way.
        _say(f"{act} {run_id} raised {error!r}")
        os._exit(1)
    finally:
        os._exit(0)


def _warm_up() -> None:
    """Has all imported that a child needs, for this takes long. Leaves no connection open."""
    read_once.share()
    with DagsterInstance.get() as instance:
        instance.get_runs(limit=1)
        instance.run_launcher, instance.run_coordinator  # noqa: B018
    for client in (aws.dynamodb, aws.ecs, aws.ssm):
        client()


def main() -> None:
    """Serves standard input until it ends, and then waits for the children."""
    logging.disable(logging.INFO)
    _warm_up()
    children: dict[int, str] = {}
    lines = b""
    reading = True
    while reading or children:
        if reading and select.select([0], [], [], _POLL_SECONDS)[0]:
            read = os.read(0, 65536)
            reading = bool(read)
            *whole, lines = (lines + read).split(b"\n")
            for line in whole:
                number, act, run_id, step, seconds = line.decode().split()
                blow = Blow(int(step), float(seconds))
                children[_fork(Act(act), run_id, blow)] = number
        while children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            print(children.pop(pid), status, flush=True)
        if not reading:
            time.sleep(_POLL_SECONDS)


if __name__ == "__main__":
    main()
