"""Non-isolated runs: each a process of its code location's standing server."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError
from dagster import DagsterError, DagsterEvent, DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from dagster._core.remote_representation.code_location import GrpcServerCodeLocation
from tenacity import Retrying, retry_if_not_result, stop_after_delay, wait_random_exponential

from run_isolation.dagster import run_tags
from run_isolation.dagster.deployment import Deployment
from run_isolation.dagster.sources import make_reconciler
from run_isolation.dagster.standing_server import (
    ASK_SECONDS,
    ServerReplacedError,
    ServerSilentError,
    StandingServer,
)
from run_isolation.errors import TableError
from run_isolation.policy import Kind
from run_isolation.server_identity import ServerIdentity
from run_isolation.tasks import TaskState, describe

RESOLVE_SECONDS: Final = 150
"""How long a launch goes on asking a server that does not answer; somebody may be waiting at the
page. After that the run stays STARTING: it starts, or Dagster's start timeout ends it."""


_logger: Final = logging.getLogger("run_isolation.dagster")


class RefusedError(Exception):
    """The run has not been started here and will not be: ``str()`` says why."""


class NonIsolatedRuns:
    """Starts, cancels and watches them."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment

    def launch(self, instance: DagsterInstance, context: LaunchRunContext) -> None:
        """Starts the run's process, or sends the run back to the queue as isolated."""
        run = context.dagster_run
        try:
            identity = _hosting_server(context)
            run_tags.write(instance, run, task_arn=identity.task_arn, address=identity.address)
            if self._ended_meanwhile(instance, run):
                return
            self._start(instance, run, identity)
        except RefusedError as refusal:
            self._send_back(instance, run, str(refusal))

    def terminate(self, instance: DagsterInstance, run: DagsterRun) -> bool:
        """Interrupts the run's process at the task that has it.

        Returns:
            Whether the run ends, or has ended, by this.

        Raises:
            ServerSilentError: The server does not answer and its task is there: try again.
        """
        ours = run_tags.read(run)
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
            gone = f"Its task {ours.task_arn} has stopped: {state.reason}."
        instance.report_run_canceled(run, message=gone)
        # Not a release: a start may be on its way, which only the server can tell.
        with suppress(TableError):
            make_reconciler(self._deployment, instance, _logger).reconcile()
        return True

    def health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Whether the process of a STARTED run is there. Doubt counts as running.

        Raises:
            botocore.exceptions.BotoCoreError: Neither server nor ECS answers, so nothing is known.
        """
        ours = run_tags.read(run)
        if ours.address is None or ours.task_arn is None:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "Its server is not known yet.")
        try:
            if run.run_id in StandingServer(ours.address).current_runs(ours.task_arn):
                return CheckRunHealthResult(WorkerStatus.RUNNING)
            return CheckRunHealthResult(
                WorkerStatus.FAILED,
                f"The server of task {ours.task_arn} no longer has a process of this run.",
            )
        except ServerReplacedError as error:
            gone = f"{error} The run's process ended with task {ours.task_arn}."
            return CheckRunHealthResult(WorkerStatus.FAILED, gone)
        except ServerSilentError as error:
            state = self._state(ours.task_arn)
            if state.stopped or state.missing:
                gone = f"Its task {ours.task_arn} is {state.status}. {state.reason}"
                return CheckRunHealthResult(WorkerStatus.FAILED, gone)
            return CheckRunHealthResult(WorkerStatus.RUNNING, f"No answer: {error}")

    def debug_info(self, run: DagsterRun) -> str | None:
        """What ECS says about the standing task that has the run's process."""
        ours = run_tags.read(run)
        if ours.task_arn is None:
            return None
        state = self._state(ours.task_arn)
        return f"Standing task {ours.task_arn} at {ours.address}: {state.status}. {state.reason}"

    def _start(self, instance: DagsterInstance, run: DagsterRun, identity: ServerIdentity) -> None:
        """StartRun, again at the same server while its outcome is not known: it is started once.

        Raises:
            RefusedError: It is not running there and will not be.
        """
        asking = Retrying(
            retry=retry_if_not_result(bool),
            wait=wait_random_exponential(multiplier=0.5, max=10),
            stop=stop_after_delay(RESOLVE_SECONDS),
            retry_error_callback=lambda _: False,
        )
        if not asking(self._start_once, instance, run, identity):
            instance.report_engine_event(
                f"The server of task {identity.task_arn} at {identity.address} has not answered "
                f"for {RESOLVE_SECONDS} seconds. Whether it started the run is not known, so the "
                "run is started nowhere else.",
                run,
            )

    def _start_once(
        self, instance: DagsterInstance, run: DagsterRun, identity: ServerIdentity
    ) -> bool:
        """True once the run's process is there; False while nobody knows."""
        assert run.remote_job_origin is not None  # noqa: S101  # Dagster's submit_run insists on it
        try:
            result = StandingServer(identity.address).start_run(
                instance, run, run.remote_job_origin, identity, run_tags.read(run).attempt
            )
        except (ServerSilentError, ServerReplacedError) as error:
            return self._look_after(instance, run, identity, error)
        if result.success:
            return True
        error_info = result.serializable_error_info
        raise RefusedError(result.message or (error_info.message if error_info else "no reason"))

    def _look_after(
        self,
        instance: DagsterInstance,
        run: DagsterRun,
        identity: ServerIdentity,
        error: Exception,
    ) -> bool:
        """After a lost answer: has the run begun, or can it no longer begin there?"""
        now = instance.get_run_by_id(run.run_id)
        if now is None or now.status is not DagsterRunStatus.STARTING:
            return True
        try:
            gone = isinstance(error, ServerReplacedError) or self._state(identity.task_arn).stopped
        except (BotoCoreError, ClientError):
            return False
        if gone:
            raise RefusedError(f"Task {identity.task_arn} ended before the run began. {error}")
        return False

    def _ended_meanwhile(self, instance: DagsterInstance, run: DagsterRun) -> bool:
        """Whether the run was canceled, ended or deleted before its process was started."""
        now = instance.get_run_by_id(run.run_id)
        if now is not None and now.status is DagsterRunStatus.STARTING:
            return False
        if now is not None and now.status is DagsterRunStatus.CANCELING:
            instance.report_run_canceled(now, message="Canceled before its process was started.")
        self._release(run)
        return True

    def _send_back(self, instance: DagsterInstance, run: DagsterRun, why: str) -> None:
        reason = f"The standing container of its code location did not take it. {why}"
        now = instance.get_run_by_id(run.run_id)
        if now is not None and now.status is DagsterRunStatus.STARTING:
            run_tags.write(
                instance, now, kind=Kind.ISOLATED, reason=reason, task_arn="", address=""
            )
            instance.report_engine_event(f"This run is isolated after all. {reason}", now)
            instance.report_dagster_event(DagsterEvent.job_enqueue(now), run_id=run.run_id)
        self._release(run)

    def _release(self, run: DagsterRun) -> None:
        # The reconciler finds a holder whose run is over.
        with suppress(TableError):
            self._deployment.slots.release(run.run_id, run_tags.read(run).attempt)

    def _state(self, task_arn: str) -> TaskState:
        cluster = self._deployment.manifest.cluster
        return describe(self._deployment.ecs, cluster, [task_arn])[task_arn]


def _hosting_server(context: LaunchRunContext) -> ServerIdentity:
    """The one server of the run's code location that is asked to take it. Starts nothing.

    Raises:
        RefusedError: There is none.
    """
    origin = context.dagster_run.remote_job_origin
    if context.workspace is None or origin is None:
        raise RefusedError("The launch came without a workspace.")
    try:
        location = context.workspace.get_code_location(origin.location_name)
        if not isinstance(location, GrpcServerCodeLocation):
            raise RefusedError(f"Code location {location.name} is not served by gRPC.")
        identity = ServerIdentity.from_server_id(location.client.get_server_id(timeout=ASK_SECONDS))
    except DagsterError as error:
        raise RefusedError(str(error)) from error
    if identity is None:
        raise RefusedError(
            f"The server of {location.name} is not `run-isolation code-server` in an ECS task."
        )
    return identity
