"""Non-isolated runs: each a process of its code location's standing server."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError
from dagster import DagsterError, DagsterInstance, DagsterRun
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin
from dagster._core.remote_representation.code_location import GrpcServerCodeLocation

from run_isolation.dagster import run_record
from run_isolation.dagster.deployment import Deployment
from run_isolation.dagster.ends.stored_end import is_over
from run_isolation.dagster.launch.advertised import instance_version
from run_isolation.dagster.launch.non_isolated_start import NonIsolatedStart, RefusedError
from run_isolation.dagster.launch.started_servers import StartedServers
from run_isolation.dagster.launch.started_tasks import StartedTasks
from run_isolation.dagster.launched_by import launched_by
from run_isolation.dagster.reconciler_sources import make_reconciler
from run_isolation.dagster.standing.client import (
    ServerReplacedError,
    ServerSilentError,
    StandingServer,
    is_there,
)
from run_isolation.errors import TableError
from run_isolation.server_identity import ServerIdentity
from run_isolation.slots.decision import LaunchedBy
from run_isolation.standing.why_gone import why_gone
from run_isolation.start_run_timers import Patience
from run_isolation.tasks import TaskState, describe

_log: Final = logging.getLogger(__name__)


class ServerRuns:
    """Starts, cancels and watches them."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._tasks = StartedTasks(deployment)
        self._servers = StartedServers()

    def launch(self, instance: DagsterInstance, context: LaunchRunContext) -> None:
        """Starts the run's process, or sends the run back to the queue as isolated.

        An automated launch is made in a thread of the daemon's, in which others wait: a second at
        most. Where that is too short the run stays STARTING, and the watcher goes on with it.
        """
        by_hand = launched_by(context) is LaunchedBy.HAND
        patience = Patience.PERSON if by_hand else Patience.AUTOMATED
        start = NonIsolatedStart(self._deployment, instance, context.dagster_run, patience)
        start.at_one_of(_servers(context, patience))

    def go_on(self, instance: DagsterInstance, run: DagsterRun) -> bool:
        """Settles a STARTING run whose launcher is gone: started once, or sent back to the queue.

        It is asked for at the server on record only, which knows whether it has begun.

        Returns:
            False while nobody knows whether it has begun: try again later.
        """
        ours = run_record.read(run)
        known = ours.task_arn is not None and ours.address is not None
        server = ServerIdentity(ours.task_arn or "", ours.address or "") if known else None
        start = NonIsolatedStart(self._deployment, instance, run, Patience.AUTOMATED)
        return start.at_recorded_server(server)

    def terminate(self, instance: DagsterInstance, run: DagsterRun) -> bool:
        """Interrupts the run's process at the task that has it.

        Returns:
            Whether the run ends, or has ended, by this.

        Raises:
            ServerSilentError: The server does not answer and its task is there: try again.
        """
        ours = run_record.read(run)
        if ours.address is None or ours.task_arn is None:
            instance.report_engine_event(
                "This run has no process yet; it ends before it gets one.", run
            )
            return True
        try:
            if StandingServer(ours.address).cancel_run(run.run_id):
                return True
            gone = f"The server at {ours.address} has no process of this run."
        except ServerSilentError:
            state = self._state(ours.task_arn)
            if not state.stopped:
                raise
            gone = why_gone(state)
        if not is_over(instance, run.run_id):
            instance.report_run_canceled(run, message=gone)
        # Not a release: a start may be on its way, which only the server can tell.
        with suppress(TableError):
            make_reconciler(self._deployment, instance, _log).look_at(run.run_id)
        return True

    def health(self, instance: DagsterInstance, run: DagsterRun) -> CheckRunHealthResult:
        """Whether the process of a STARTED run is there. Doubt counts as running.

        ECS is asked first: what has stopped there swallows what is sent to it.

        Raises:
            botocore.exceptions.BotoCoreError: Neither server nor ECS answers, so nothing is known.
            botocore.exceptions.ClientError: The same.
        """
        ours = run_record.read(run)
        if ours.address is None or ours.task_arn is None:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "Its server is not known yet.")
        trouble: BotoCoreError | ClientError | None = None
        try:
            state = self._tasks.state(instance, ours.task_arn, shared=True)
            if state.stopped:
                return CheckRunHealthResult(WorkerStatus.FAILED, why_gone(state))
        except (BotoCoreError, ClientError) as error:
            trouble = error
        server = ServerIdentity(ours.task_arn, ours.address)
        try:
            if self._servers.has(server, run.run_id):
                return CheckRunHealthResult(WorkerStatus.RUNNING)
            gone = f"The run's process has ended; its server, of task {ours.task_arn}, goes on."
        except ServerReplacedError as error:
            gone = f"{error} The run's process ended with task {ours.task_arn}."
        except ServerSilentError as error:
            if trouble is not None:
                raise trouble from error
            if not state.missing:
                return CheckRunHealthResult(WorkerStatus.RUNNING, f"No answer: {error}")
            gone = why_gone(state)
        return CheckRunHealthResult(WorkerStatus.FAILED, gone)

    def debug_info(self, run: DagsterRun) -> str | None:
        """What ECS says about the standing task that has the run's process."""
        ours = run_record.read(run)
        if ours.task_arn is None:
            return None
        state = self._state(ours.task_arn)
        return f"Standing task {ours.task_arn} at {ours.address}: {state.status}. {state.reason}"

    def _state(self, task_arn: str) -> TaskState:
        cluster = self._deployment.manifest.cluster
        return describe(self._deployment.ecs, cluster, [task_arn])[task_arn]


def _servers(context: LaunchRunContext, patience: Patience) -> Iterator[ServerIdentity]:
    """The servers of the run's code location that are asked to take it. Asking starts nothing.

    First the one that the location was loaded from, so that the code that the page shows is the
    code that is executed: after a release, the name leads to either server for a while.

    Raises:
        RefusedError: There is none.
    """
    location = _grpc_location(context)
    loaded = ServerIdentity.from_server_id(location.server_id or "")
    if loaded is not None and (patience is Patience.AUTOMATED or is_there(loaded)):
        yield replace(loaded, instance_version=instance_version(context.dagster_run))
    while True:
        yield _named_server(location, patience.ask_seconds)


def _grpc_location(context: LaunchRunContext) -> GrpcServerCodeLocation:
    origin = context.dagster_run.remote_job_origin
    if context.workspace is None or origin is None:
        raise RefusedError("The launch came without a workspace.")
    try:
        location = context.workspace.get_code_location(origin.location_name)
    except DagsterError as error:
        raise RefusedError(str(error)) from error
    if not isinstance(location, GrpcServerCodeLocation):
        raise RefusedError(f"Code location {location.name} is not served by gRPC.")
    return location


def _named_server(location: GrpcServerCodeLocation, seconds: float) -> ServerIdentity:
    """The server that the location's name leads to.

    Not by the location's own client, which may stay with the server that it was loaded from.
    """
    origin = location.origin
    client = location.client
    if isinstance(origin, GrpcServerCodeLocationOrigin):
        client = origin.create_client()
    try:
        server_id = client.get_server_id(timeout=seconds)  # type: ignore[arg-type]  # gRPC takes both
    except DagsterError as error:
        raise RefusedError(str(error)) from error
    identity = ServerIdentity.from_server_id(server_id)
    if identity is None:
        raise RefusedError(
            f"The server of {location.name} is not `run-isolation code-server` in an ECS task."
        )
    return identity
