"""The server of a standing container: Dagster's own, made safe for runs.

It starts each run once, frees its slot, and keeps its task through redeploys until its runs are
over. Dagster's server starts a second process when StartRun comes twice (dagster/_grpc/server.py),
and a caller whose answer got lost can't help calling twice.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, Final

import dagster._grpc.server
import grpc
from dagster._cli.api import grpc_command
from dagster._core.instance.ref import InstanceRef
from dagster._grpc.__generated__ import dagster_api_pb2
from dagster._grpc.types import (
    CancelExecutionRequest,
    CancelExecutionResult,
    GetCurrentRunsResult,
    StartRunResult,
)
from dagster._serdes import deserialize_value, serialize_value

from run_isolation.dagster.deployment import MANIFEST, Deployment
from run_isolation.dagster.ends import run_process
from run_isolation.dagster.home import own_home
from run_isolation.dagster.memory.standing_memory import StandingMemory
from run_isolation.dagster.patching import replaced
from run_isolation.dagster.standing.client import DRAINING
from run_isolation.dagster.standing.listeners import TwoPortServer
from run_isolation.dagster.standing.load_error import load_error_in_short
from run_isolation.dagster.standing.own_instance import OwnInstance
from run_isolation.dagster.standing.run_processes import Records, RunProcesses
from run_isolation.dagster.standing.tick_priority import PromptTicks
from run_isolation.dagster.warm.fork_context import KeptContext
from run_isolation.dagster.warm.start import WarmStart, installed
from run_isolation.errors import DrainingError, RunIsolationError
from run_isolation.server_identity import ATTEMPT_KEY, EXPECTED_KEY, SERVER_KEY, ServerIdentity
from run_isolation.standing.draining import Listener, StandingTask
from run_isolation.standing.hosting import Hosting
from run_isolation.standing.protection import TaskProtection
from run_isolation.standing.redeploys import Redeploys
from run_isolation.task_metadata import TaskMetadata

StartRunReply = dagster_api_pb2.StartRunReply

_VARIABLES: Final = "DAGSTER_CLI_API_GRPC"
"""What the variables begin with that stand for options of ``dagster api grpc`` (ENV_PREFIX in
dagster/_cli/__init__.py, and the names of the commands)."""


class RunIsolationApiServer(PromptTicks):
    """Dagster's servicer, with StartRun once per run and the slot given back when a run is over.

    What is done about runs is in ``RunProcesses``; here are the calls and hooks of Dagster's that
    lead there.

    Args:
        warm: What run processes are forked by, put in the place of ``_mp_ctx``, which Dagster's
            servicer makes them with; None where they are spawned, as there.
        own: The instance of all that is executed here; None: of whoever calls.
    """

    def __init__(
        self,
        *args: Any,
        warm: WarmStart | None = None,
        own: OwnInstance | None = None,
        **kwargs: Any,
    ) -> None:
        self._own = own or OwnInstance(None)
        # Dagster's begins to look after runs before it returns.
        self._processes: RunProcesses[StartRunReply] | None = None
        with load_error_in_short():
            super().__init__(*args, **kwargs)
        if warm is not None and warm.context is not None:
            self._manners = warm.manners
        context = warm.context if warm is not None else None
        run_process.make_processes(self, context or KeptContext())
        self._identity = ServerIdentity.from_server_id(self._server_id)
        self._deployment = Deployment()
        records = Records.of(self)
        self._processes = RunProcesses(
            records,
            StandingMemory(records.pids, self._logger),
            self._new_hosting(),
            self._logger,
            warm.check if warm is not None else lambda: None,
        )

    def _new_hosting(self) -> Hosting[StartRunReply] | None:
        if self._identity is None:
            return None
        return Hosting(
            self._identity, lambda: self._deployment.slots, self._logger, self._why_draining
        )

    def serves_at(self, listener: Listener) -> None:
        """Tells the public port, which is closed when another task serves in this one's place."""
        if self._identity is not None and self._processes is not None:
            redeploys = Redeploys(
                lambda: self._deployment.ecs,
                lambda: self._deployment.cloud_map,
                lambda: self._deployment.manifest.cluster,
                self._identity.task_arn,
            )
            hosts_runs = self._processes.any_here
            protection = TaskProtection(hosts_runs, self._logger)
            task = StandingTask(hosts_runs, protection, redeploys, listener, self._logger)
            self._processes.task = task
            task.start()

    def StartRun(  # noqa: N802  # gRPC's name
        self, request: dagster_api_pb2.StartRunRequest, context: grpc.ServicerContext
    ) -> StartRunReply:
        """Starts the run's process; a repeated call waits for the first and gets its answer."""
        metadata = {key: str(value) for key, value in context.invocation_metadata()}
        if metadata.get(SERVER_KEY, self._server_id) != self._server_id:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"This is {self._server_id}.")
        assert self._processes is not None  # noqa: S101  # Dagster's serves no calls before
        args, request = self._own.start_run(request)
        start = partial(super().StartRun, request, context)
        if ATTEMPT_KEY not in metadata:
            return self._processes.begin(start)
        expected = metadata.get(EXPECTED_KEY)
        try:
            return self._processes.start(
                args.run_id,
                int(metadata[ATTEMPT_KEY]),
                start,
                _refusal,
                float(expected) if expected else None,
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
        result = CancelExecutionResult(
            success=self._processes is not None and self._processes.cancel(asked.run_id),
            message=None,
            serializable_error_info=None,
        )
        return dagster_api_pb2.CancelExecutionReply(
            serialized_cancel_execution_result=serialize_value(result)
        )

    def GetCurrentRuns(  # noqa: N802  # gRPC's name
        self, request: dagster_api_pb2.Empty, context: grpc.ServicerContext
    ) -> dagster_api_pb2.GetCurrentRunsReply:
        """The runs that have a process here, or are about to get one."""
        assert self._processes is not None  # noqa: S101  # Dagster's serves no calls before

        def on_record() -> list[str]:
            reply = super(RunIsolationApiServer, self).GetCurrentRuns(request, context)
            result = deserialize_value(reply.serialized_current_runs, GetCurrentRunsResult)
            return list(result.current_runs)

        runs = self._processes.with_starting(on_record)
        result = GetCurrentRunsResult(current_runs=runs, serializable_error_info=None)
        return dagster_api_pb2.GetCurrentRunsReply(serialized_current_runs=serialize_value(result))

    def cleanup(self) -> None:
        """Waits for the runs to end, as Dagster's does, and for their slots to be free."""
        super().cleanup()
        if self._processes is not None:
            self._processes.close()

    def _check_for_orphaned_runs(self) -> None:
        # Called twice a second in a thread that an exception would end for good, and with it every
        # notice of a run's end.
        if self._processes is not None:
            self._processes.look_after(super()._check_for_orphaned_runs)

    def _clear_run(self, run_id: str) -> None:
        """Dagster's own hook: the run's process is over, however it ended. Holds its lock."""
        if self._processes is not None:
            self._processes.forget(run_id, partial(super()._clear_run, run_id))

    def _why_draining(self) -> str | None:
        if self._shutdown_once_executions_finish_event.is_set():
            return "It is shutting down."
        task = self._processes.task if self._processes is not None else None
        return task.why_draining if task is not None else None


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
    asked = grpc_command.make_context(
        "code-server", list(options), resilient_parsing=True, auto_envvar_prefix=_VARIABLES
    )
    port = asked.params["port"]
    with _own_instance() as own:
        if task is None or port is None:
            # No task, no address to prefer.
            everywhere = {"host": "0.0.0.0"}  # noqa: S104
            _run(options, everywhere, dagster._grpc.server.DagsterGrpcServer, warm, own)
            return
        control_port = port + 1 if control_port is None else control_port
        identity = ServerIdentity(task.task_arn, f"{task.address}:{control_port}")
        mine = {"host": task.address, "fixed_server_id": identity.to_server_id()}
        server = partial(TwoPortServer, control_port=control_port)
        _run(options, mine, server, warm, own)


@contextmanager
def _own_instance() -> Iterator[OwnInstance]:
    """The deployment's instance in a task of ours; elsewhere that of whoever calls.

    Raises:
        SystemExit: It can't be used, and stderr says why.
    """
    if MANIFEST not in os.environ:
        yield OwnInstance(None)
        return
    with ExitStack() as exits:
        deployment = Deployment()
        try:
            home = exits.enter_context(own_home.opened(deployment))
        except RunIsolationError as error:
            raise SystemExit(str(error)) from error
        # Its connection is no business of the processes that are forked from this one.
        deployment.slots.client.close()
        yield OwnInstance(InstanceRef.from_dir(str(home)))


def _run(
    options: Sequence[str],
    defaults: Mapping[str, str],
    server: Callable[..., dagster._grpc.server.DagsterGrpcServer],
    warm: WarmStart | None,
    own: OwnInstance,
) -> None:
    servicer = partial(RunIsolationApiServer, warm=warm, own=own)
    with (
        installed(warm),
        own.installed(),
        replaced(dagster._grpc.server, "DagsterApiServer", servicer),
        replaced(dagster._grpc.server, "DagsterGrpcServer", server),
        run_process.installed(),
    ):
        grpc_command.main(
            list(options),
            prog_name="run-isolation code-server",
            auto_envvar_prefix=_VARIABLES,
            default_map=dict(defaults),
        )
