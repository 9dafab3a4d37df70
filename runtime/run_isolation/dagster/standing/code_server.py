"""The server of a standing container: Dagster's own, made safe for runs.

It starts each run once, frees its slot, and keeps its task through redeploys until its runs are
over. Dagster's server starts a second process when StartRun comes twice (dagster/_grpc/server.py),
and a caller whose answer got lost can't help calling twice.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import dagster._grpc.server
import grpc
from dagster import DagsterInstance, DagsterRunStatus
from dagster._cli.api import grpc_command
from dagster._grpc.__generated__ import dagster_api_pb2
from dagster._grpc.types import (
    CancelExecutionRequest,
    CancelExecutionResult,
    ExecuteExternalJobArgs,
    GetCurrentRunsResult,
    StartRunResult,
)
from dagster._serdes import deserialize_value, serialize_value

from run_isolation.dagster.deployment import Deployment
from run_isolation.dagster.ends import run_process
from run_isolation.dagster.ends.stored_end import is_over
from run_isolation.dagster.memory.endings import Ended
from run_isolation.dagster.memory.standing import StandingMemory
from run_isolation.dagster.seam import replaced
from run_isolation.dagster.standing.listeners import TwoPortServer
from run_isolation.dagster.standing.load_error import load_error_in_short
from run_isolation.dagster.standing.standing_server import DRAINING
from run_isolation.dagster.standing.ticks import PromptTicks
from run_isolation.dagster.warm.context import taken
from run_isolation.dagster.warm.start import WarmStart, installed
from run_isolation.errors import DrainingError
from run_isolation.hosting import Hosting
from run_isolation.protection import TaskProtection
from run_isolation.redeploys import Redeploys
from run_isolation.server_identity import ATTEMPT_KEY, EXPECTED_KEY, SERVER_KEY, ServerIdentity
from run_isolation.standing_task import Listener, StandingTask
from run_isolation.task_metadata import TaskMetadata

StartRunReply = dagster_api_pb2.StartRunReply


class RunIsolationApiServer(PromptTicks):
    """Dagster's servicer, with StartRun once per run and the slot given back when a run is over.

    Args:
        warm: What run processes are forked by, put in the place of ``_mp_ctx``, which Dagster's
            servicer makes them with; None where they are spawned, as there.
    """

    def __init__(self, *args: Any, warm: WarmStart | None = None, **kwargs: Any) -> None:
        self._hosting: Hosting[StartRunReply] | None = None
        self._task: StandingTask | None = None
        self._warm = warm
        self._memory: StandingMemory | None = None
        with load_error_in_short():
            super().__init__(*args, **kwargs)
        if warm is not None and warm.context is not None:
            self._manners = warm.manners
        run_process.make_processes(self, warm.context if warm is not None else None)
        self._memory = StandingMemory(self._pids, self._logger)
        self._identity = ServerIdentity.from_server_id(self._server_id)
        self._deployment = Deployment()
        if self._identity is not None:
            self._hosting = Hosting(
                self._identity, lambda: self._deployment.slots, self._logger, self._why_draining
            )

    def serves_at(self, listener: Listener) -> None:
        """Tells the public port, which is closed when another task serves in this one's place."""
        if self._identity is not None:
            redeploys = Redeploys(
                lambda: self._deployment.ecs,
                lambda: self._deployment.cloud_map,
                lambda: self._deployment.manifest.cluster,
                self._identity.task_arn,
            )
            protection = TaskProtection(self._hosts_runs, self._logger)
            self._task = StandingTask(
                self._hosts_runs, protection, redeploys, listener, self._logger
            )
            self._task.start()

    def StartRun(  # noqa: N802  # gRPC's name
        self, request: dagster_api_pb2.StartRunRequest, context: grpc.ServicerContext
    ) -> StartRunReply:
        """Starts the run's process; a repeated call waits for the first and gets its answer."""
        metadata = {key: str(value) for key, value in context.invocation_metadata()}
        if metadata.get(SERVER_KEY, self._server_id) != self._server_id:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"This is {self._server_id}.")
        start = partial(self._start_protected, super().StartRun, request, context)
        if self._hosting is None or ATTEMPT_KEY not in metadata:
            return start()
        args = deserialize_value(request.serialized_execute_run_args, ExecuteExternalJobArgs)
        try:
            return self._hosting.start(
                args.run_id,
                int(metadata[ATTEMPT_KEY]),
                start,
                _refusal,
                partial(self._why_no_room, args.run_id, metadata.get(EXPECTED_KEY)),
            )
        except DrainingError as error:
            context.abort(DRAINING, str(error))
            raise  # not reached: abort raises

    def CancelExecution(  # noqa: N802  # gRPC's name
        self, request: dagster_api_pb2.CancelExecutionRequest, context: grpc.ServicerContext
    ) -> dagster_api_pb2.CancelExecutionReply:
        """Interrupts the run's process.

        Dagster's servicer waits until the process has noticed, with a lock held that all of its
        calls need: for ever where the process is stopped, or was killed a moment ago.
        """
        asked = deserialize_value(
            request.serialized_cancel_execution_request, CancelExecutionRequest
        )
        with self._execution_lock:
            event = self._termination_events.get(asked.run_id)
            if event is not None:
                self._termination_times[asked.run_id] = time.time()
                threading.Thread(target=event.set, daemon=True).start()
        result = CancelExecutionResult(
            success=event is not None, message=None, serializable_error_info=None
        )
        return dagster_api_pb2.CancelExecutionReply(
            serialized_cancel_execution_result=serialize_value(result)
        )

    def GetCurrentRuns(  # noqa: N802  # gRPC's name
        self, request: dagster_api_pb2.Empty, context: grpc.ServicerContext
    ) -> dagster_api_pb2.GetCurrentRunsReply:
        """The runs that have a process here, or are about to get one."""
        starting = self._hosting.starting() if self._hosting else frozenset()
        reply = super().GetCurrentRuns(request, context)
        result = deserialize_value(reply.serialized_current_runs, GetCurrentRunsResult)
        runs = sorted(starting.union(result.current_runs))
        result = GetCurrentRunsResult(current_runs=runs, serializable_error_info=None)
        return dagster_api_pb2.GetCurrentRunsReply(serialized_current_runs=serialize_value(result))

    def cleanup(self) -> None:
        """Waits for the runs to end, as Dagster's does, and for their slots to be free."""
        super().cleanup()
        if self._memory is not None:
            self._memory.close()
        if self._hosting is not None:
            self._hosting.close()
        if self._task is not None:
            self._task.close()

    def _check_for_orphaned_runs(self) -> None:
        # Called twice a second in a thread that an exception would end for good, and with it every
        # notice of a run's end.
        try:
            self._end_canceled_runs()
            if self._warm is not None:
                self._warm.check()
            if self._memory is not None:
                # First: Dagster's forgets the process.
                self._memory.before_forgotten(self._ended())
            super()._check_for_orphaned_runs()
        except Exception:
            self._logger.exception("Could not look after ended runs; trying again.")

    def _end_canceled_runs(self) -> None:
        """A run is canceled that somebody cancels, also where its process could not say so.

        An interrupt may strike a process before it has begun to watch for one. Dagster's servicer
        would call such a run failed, with no word of the cancel.
        """
        with self._execution_lock:
            for run_id in self._termination_times:
                process, instance_ref = self._executions[run_id]
                if process.is_alive():
                    continue
                with DagsterInstance.from_ref(instance_ref) as instance:
                    run = instance.get_run_by_id(run_id)
                    if run is None or run.status is not DagsterRunStatus.CANCELING:
                        continue
                    if not is_over(instance, run_id):
                        ended = "Its process ended before it could say so itself."
                        instance.report_run_canceled(run, message=f"Canceled. {ended}")

    def _clear_run(self, run_id: str) -> None:
        """Dagster's own hook: the run's process is over, however it ended. Holds its lock.

        Called twice where the process ends as it begins: by StartRun and by the watching thread.
        """
        if run_id not in self._executions:
            return
        process, instance = self._executions[run_id]
        super()._clear_run(run_id)
        if self._memory is not None:
            took = taken(process) or ()
            self._memory.ended(Ended(run_id, process.exitcode, instance, *took))
        if self._hosting is not None:
            self._hosting.ended(run_id)
        if self._task is not None:
            self._task.run_ended()

    def _start_protected(
        self,
        start: Callable[[dagster_api_pb2.StartRunRequest, grpc.ServicerContext], StartRunReply],
        request: dagster_api_pb2.StartRunRequest,
        context: grpc.ServicerContext,
    ) -> StartRunReply:
        if self._task is not None:
            self._task.protect()
        if self._memory is not None:
            self._memory.run_starts()
        return start(request, context)

    def _why_no_room(self, run_id: str, expected_mib: str | None) -> str | None:
        if self._memory is None:
            return None
        return self._memory.why_no_room(run_id, float(expected_mib) if expected_mib else None)

    def _pids(self) -> dict[str, int]:
        with self._execution_lock:
            processes = [(run_id, process) for run_id, (process, _) in self._executions.items()]
        return {run_id: process.pid for run_id, process in processes if process.pid is not None}

    def _ended(self) -> list[Ended]:
        """The processes on record that have ended."""
        ended = []
        with self._execution_lock:
            for run_id, (process, instance) in self._executions.items():
                before = os.times()
                if not process.is_alive():
                    after = os.times()
                    user = after.children_user - before.children_user
                    system = after.children_system - before.children_system
                    took = taken(process) or (user + system, 0)
                    ended.append(Ended(run_id, process.exitcode, instance, *took))
        return ended

    def _hosts_runs(self) -> bool:
        # A run that is being started gets its process before it is no longer being started.
        starting = self._hosting.starting() if self._hosting else frozenset()
        return bool(starting or self._executions)

    def _why_draining(self) -> str | None:
        if self._shutdown_once_executions_finish_event.is_set():
            return "It is shutting down."
        return self._task.why_draining if self._task else None


def _refusal(why: str) -> StartRunReply:
    result = StartRunResult(success=False, message=why, serializable_error_info=None)
    return StartRunReply(serialized_start_run_result=serialize_value(result))


def serve(
    options: Sequence[str],
    task: TaskMetadata | None,
    control_port: int | None,
    *,
    warm_start: bool,
) -> None:
    """Runs ``dagster api grpc`` with our servicer; ends the process when the server ends.

    Args:
        options: Of ``dagster api grpc``.
        task: The ECS task that this process is in. Outside of one the server has an id of Dagster's
            and one port, and takes no non-isolated runs.
        control_port: Where it answers until its end, for whoever asks this very task. None: the
            port after the public one.
        warm_start: Whether runs are forked from a process that has imported everything.
    """
    warm = WarmStart() if warm_start else None
    asked = grpc_command.make_context("code-server", list(options), resilient_parsing=True)
    port = asked.params["port"]
    if task is None or port is None:
        # No task, no address to prefer.
        here = ["--host", "0.0.0.0", *options]  # noqa: S104
        _run(here, dagster._grpc.server.DagsterGrpcServer, warm)
        return
    control_port = port + 1 if control_port is None else control_port
    identity = ServerIdentity(task.task_arn, f"{task.address}:{control_port}")
    # The last of an option given twice counts, so the caller's wins.
    mine = ["--host", task.address, "--fixed-server-id", identity.to_server_id()]
    _run([*mine, *options], partial(TwoPortServer, control_port=control_port), warm)


def _run(
    options: list[str],
    server: Callable[..., dagster._grpc.server.DagsterGrpcServer],
    warm: WarmStart | None,
) -> None:
    servicer = partial(RunIsolationApiServer, warm=warm)
    with (
        installed(warm),
        replaced(dagster._grpc.server, "DagsterApiServer", servicer),
        replaced(dagster._grpc.server, "DagsterGrpcServer", server),
        run_process.installed(),
    ):
        grpc_command.main(options, prog_name="run-isolation code-server")
