"""Starting a non-isolated run at a standing server: once, or not at all."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from tenacity import Retrying, retry_if_not_result, stop_after_delay, wait_random_exponential

from run_isolation.dagster import run_record
from run_isolation.dagster.deployment import Deployment
from run_isolation.dagster.launch.back_to_queue import to_queue
from run_isolation.dagster.launch.post_mortem import location_name
from run_isolation.dagster.standing.client import (
    ServerDrainingError,
    ServerFailedError,
    ServerReplacedError,
    ServerSilentError,
    ServerStartingError,
    StandingServer,
)
from run_isolation.errors import ManifestError, TableError
from run_isolation.server_identity import ServerIdentity
from run_isolation.slots.decision import Kind
from run_isolation.standing.why_gone import why_gone
from run_isolation.start_run_timers import Patience
from run_isolation.tasks import describe

_log: Final = logging.getLogger(__name__)

MOST_SERVERS: Final = 3
"""How many servers a launch asks. Each but the last was draining when it was asked."""


class RefusedError(Exception):
    """The run has not been started here and will not be: ``str()`` says why."""


class NonIsolatedStart:
    """Starts one run.

    Args:
        deployment: The deployment.
        instance: Where the run is stored.
        run: The run as it was read last.
        patience: Who waits for it.
    """

    def __init__(
        self,
        deployment: Deployment,
        instance: DagsterInstance,
        run: DagsterRun,
        patience: Patience = Patience.PERSON,
    ) -> None:
        self._deployment = deployment
        self._instance = instance
        self._run = run
        self._patience = patience
        self._id = run.run_id
        self._attempt = run_record.read(run).attempt

    def at_one_of(self, servers: Iterator[ServerIdentity]) -> None:
        """Starts it at the first server that is not draining, or sends it back to the queue.

        Args:
            servers: Endless; each is looked for when it is needed. May raise RefusedError.
        """
        try:
            for ask, server in enumerate(servers, start=1):
                if not self._is_wanted():
                    return
                run_record.write(
                    self._instance,
                    self._run,
                    task_arn=server.task_arn,
                    address=server.address,
                    instance_version=server.instance_version,
                )
                # Again: whoever cancels from here on finds the server, and asked nobody before.
                if not self._is_wanted():
                    return
                try:
                    self._until_known(server)
                    return
                except ServerDrainingError as error:
                    _log.debug("Run %s: server %d of %d: %s", self._id, ask, MOST_SERVERS, error)
                    if ask == MOST_SERVERS:
                        raise
        except (RefusedError, ServerDrainingError) as refusal:
            self._send_back(str(refusal))

    def at_recorded_server(self, server: ServerIdentity | None) -> bool:
        """Goes on with a start whose launcher is gone. Where the run has begun, nothing happens.

        Args:
            server: The one that the launcher has recorded; None where it did not get so far.

        Returns:
            False while nobody knows whether it has begun: try again later.
        """
        if not self._is_ours(self._instance.get_run_by_id(self._run.run_id)):
            return True
        try:
            if server is None:
                raise RefusedError("Its launcher ended before it had asked a server.")
            return self._is_settled(server, may_ask_ecs=True)
        except (RefusedError, ServerDrainingError) as refusal:
            self._send_back(str(refusal))
            return True

    def _until_known(self, server: ServerIdentity) -> None:
        """StartRun, again at the same server while its outcome is not known.

        Raises:
            RefusedError: It is not running there and will not be.
            ServerDrainingError: The same; another server may take it.
        """
        asking = Retrying(
            retry=retry_if_not_result(bool),
            wait=wait_random_exponential(multiplier=0.5, max=10),
            stop=stop_after_delay(self._patience.resolve_seconds),
            retry_error_callback=lambda _: False,
        )
        waits = self._patience is Patience.PERSON
        if not asking(self._is_settled, server, may_ask_ecs=waits) and waits:
            self._instance.report_engine_event(
                f"The server of task {server.task_arn} at {server.address} has not answered "
                f"for {self._patience.resolve_seconds} seconds. Whether it started the run is "
                "not known, so the run is started nowhere else.",
                self._run,
            )

    def _is_settled(self, server: ServerIdentity, *, may_ask_ecs: bool) -> bool:
        """One StartRun: whether the run has begun or needs no process; False if nobody knows."""
        origin = self._run.remote_job_origin
        assert origin is not None  # noqa: S101  # Dagster's submit_run insists on it
        try:
            result = StandingServer(server.address).start_run(
                self._instance,
                self._run,
                origin,
                server,
                self._attempt,
                self._patience.start_run_seconds,
            )
        except (ServerSilentError, ServerReplacedError) as error:
            return self._look_after(server, error, may_ask_ecs=may_ask_ecs)
        if result.success:
            _log.debug("Run %s is started by %s.", self._id, server)
            return True
        error_info = result.serializable_error_info
        raise RefusedError(result.message or (error_info.message if error_info else "no reason"))

    def _look_after(self, server: ServerIdentity, error: Exception, *, may_ask_ecs: bool) -> bool:
        """After a lost answer: has the run begun, or can it no longer begin there?"""
        _log.debug("Run %s: no answer from %s: %s", self._id, server, error)
        if not self._is_ours(self._instance.get_run_by_id(self._run.run_id)):
            return True
        if isinstance(error, ServerReplacedError):
            raise RefusedError(f"Task {server.task_arn} ended before the run began. {error}")
        if isinstance(error, ServerFailedError):
            return self._look_after_failure(server, error)
        if isinstance(error, ServerStartingError) or not may_ask_ecs:
            return False
        try:
            cluster = self._deployment.manifest.cluster
            states = describe(self._deployment.ecs, cluster, [server.task_arn])
        except (BotoCoreError, ClientError, ManifestError):
            return False
        state = states[server.task_arn]
        if state.stopped:
            raise RefusedError(f"It ended before the run began. {why_gone(state)}")
        return False

    def _look_after_failure(self, server: ServerIdentity, error: ServerFailedError) -> bool:
        """After an answer that is an error: does the server have the run all the same?"""
        with suppress(ServerSilentError, ServerReplacedError):
            if self._run.run_id not in StandingServer(server.address).current_runs(server.task_arn):
                raise RefusedError(f"The server failed to start it. {error}")
        return False

    def _is_wanted(self) -> bool:
        """Whether the run is still to be started; if not its slot is given back."""
        now = self._instance.get_run_by_id(self._run.run_id)
        if self._is_ours(now):
            return True
        status = "deleted" if now is None else now.status.value
        _log.debug("Run %s is not to be started any more: it is %s.", self._id, status)
        self._canceled(now, "Canceled before its process was started.")
        self._release()
        return False

    def _is_ours(self, now: DagsterRun | None) -> bool:
        """Whether it waits for this very start: it may have been sent back in the meantime."""
        if now is None or now.status is not DagsterRunStatus.STARTING:
            return False
        theirs = run_record.read(now)
        return theirs.kind is Kind.NON_ISOLATED and theirs.attempt == self._attempt

    def _send_back(self, why: str) -> None:
        reason = f"The standing container of its code location did not take it. {why}"
        _log.debug("Run %s is not started. %s", self._id, reason)
        now = self._instance.get_run_by_id(self._run.run_id)
        if now is not None and self._is_ours(now):
            # Its first task is the first attempt, as of any run: what was before had none.
            run_record.write(
                self._instance,
                now,
                kind=Kind.ISOLATED,
                reason=reason,
                attempt=run_record.FIRST_ATTEMPT,
                task_arn="",
                address="",
                instance_version="",
                wait="",
            )
            # First: without its slot no late StartRun starts it.
            self._release()
            self._instance.report_engine_event(f"This run is isolated after all. {reason}", now)
            to_queue(self._instance, now.run_id, run_record.FIRST_ATTEMPT)
        else:
            self._canceled(now, f"Canceled before its process was started. {why}")
            self._release()

    def _canceled(self, now: DagsterRun | None, message: str) -> None:
        if now is not None and now.status is DagsterRunStatus.CANCELING:
            self._instance.report_run_canceled(now, message=message)

    def _release(self) -> None:
        # The reconciler finds a holder whose run is over.
        with suppress(ManifestError, TableError):
            waits = self._patience is Patience.PERSON
            slots = self._deployment.slots if waits else self._deployment.slots_at_once
            slots.of(location_name(self._run)).release(self._run.run_id, self._attempt)
