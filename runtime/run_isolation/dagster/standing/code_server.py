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
from dagster._grpc.types import StartRunResult
from dagster._serdes import serialize_value
from grpc_health.v1 import health

from run_isolation.dagster.deployment import MANIFEST, Deployment
from run_isolation.dagster.home import own_home
from run_isolation.dagster.memory.standing_memory import StandingMemory
from run_isolation.dagster.patching import replaced
from run_isolation.dagster.standing import call_threads, run_start
from run_isolation.dagster.standing.client import BEING_STARTED, DRAINING
from run_isolation.dagster.standing.listeners import TwoPortServer
from run_isolation.dagster.standing.load_error import load_error_in_short
from run_isolation.dagster.standing.own_instance import OwnInstance
from run_isolation.dagster.standing.records import Records
from run_isolation.dagster.standing.run_calls import RunCalls
from run_isolation.dagster.standing.run_processes import RunProcesses
from run_isolation.dagster.standing.tick_priority import PromptTicks
from run_isolation.dagster.warm.fork_context import KeptContext
from run_isolation.dagster.warm.start import WarmStart, installed
from run_isolation.errors import DrainingError, RunIsolationError, StartUnfinishedError
from run_isolation.server_identity import ATTEMPT_KEY, EXPECTED_KEY, SERVER_KEY, ServerIdentity
from run_isolation.standing.draining import Listener, StandingTask
from run_isolation.standing.hosting import Hosting
from run_isolation.standing.protection import TaskProtection
from run_isolation.standing.redeploys import Redeploys
from run_isolation.task_metadata import TaskMetadata

_OF_THE_CALLERS_TIME: Final = 0.9
"""So much of it a StartRun waits for the process: its caller is to hear that it is being started.
"""

_VARIABLES: Final = "DAGSTER_CLI_API_GRPC"
"""What the variables begin with that stand for options of ``dagster api grpc`` (ENV_PREFIX in
dagster/_cli/__init__.py, and the names of the commands)."""

_GRACE: Final = "DAGSTER_GRPC_SHUTDOWN_GRACE_PERIOD"
_GRACE_SECONDS: Final = 105
"""For ticks that a task is at when ECS ends it; 60 by default. Less than ECS's 120
(``STOP_TIMEOUT``, infra/containers.py), so that the server still ends by itself."""


class RunIsolationApiServer(PromptTicks, RunCalls):
    """Dagster's servicer, with StartRun once per run and the slot given back when a run is over.

    What is done about runs is in ``RunProcesses``; here are the calls and hooks of Dagster's that
    lead there. None of them waits with a lock held, or for the storage.

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
        with load_error_in_short():
            super().__init__(*args, **kwargs)
        if warm is not None and warm.context is not None:
            self._manners = warm.manners
        self._identity = ServerIdentity.from_server_id(self._server_id)
        self._deployment = Deployment()
        self._pool = call_threads.PoolWatch(self._server_threadpool_executor)
        call_threads.watches[:] = [self._pool]
        call_threads.give_own_threads(self, self._server_threadpool_executor)
        self._processes = RunProcesses(
            Records.of(self),
            StandingMemory(self._logger),
            self._new_hosting(),
            self._logger,
            (warm.context if warm is not None else None) or KeptContext(),
            warm.check if warm is not None else lambda: None,
        )

    def _new_hosting(self) -> Hosting[StartRunResult] | None:
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
    ) -> dagster_api_pb2.StartRunReply:
        """Starts the run's process; a repeated call gets the first one's answer, once it is there.

        Whatever goes wrong before there is a process is an answer, and no error of the call's.
        """
        metadata = {key: str(value) for key, value in context.invocation_metadata()}
        if metadata.get(SERVER_KEY, self._server_id) != self._server_id:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"This is {self._server_id}.")
        remaining = context.time_remaining()
        seconds = None if remaining is None else remaining * _OF_THE_CALLERS_TIME
        try:
            result = self._started(request, metadata, seconds)
        except DrainingError as error:
            context.abort(DRAINING, str(error))
            raise  # not reached: abort raises
        except StartUnfinishedError as error:
            context.abort(BEING_STARTED, str(error))
            raise  # not reached
        except Exception:
            self._logger.exception("A run could not be started.")
            result = run_start.failure()
        return dagster_api_pb2.StartRunReply(serialized_start_run_result=serialize_value(result))

    def _started(
        self,
        request: dagster_api_pb2.StartRunRequest,
        metadata: Mapping[str, str],
        seconds: float | None,
    ) -> StartRunResult:
        """The answer to a StartRun.

        Raises:
            Exception: There is no process.
        """
        assert self._processes is not None  # noqa: S101  # Dagster's serves no calls before
        args, request = self._own.start_run(request)
        attempt, expected = metadata.get(ATTEMPT_KEY), metadata.get(EXPECTED_KEY)
        if attempt is None and self._is_shutting_down():
            return run_start.refusal(
                "Tried to start a run on a server after telling it to shut down"
            )
        run = run_start.asked(self, args, request.serialized_execute_run_args)
        return self._processes.start(
            run,
            int(attempt) if attempt else None,
            float(expected) if expected else None,
            seconds,
        )

    def cleanup(self) -> None:
        """Ends what looks after runs, as Dagster's does, and waits for their slots to be free."""
        super().cleanup()
        if self._processes is not None:
            self._processes.close()

    def _check_for_orphaned_runs(self) -> None:
        """Dagster's own hook, called twice a second in a thread of its own.

        An exception would end that for good, and with it every notice of a run's end.
        """
        if self._processes is None:
            return
        self._processes.look_after()
        self._pool.look()
        if self._is_shutting_down() and not self._processes.any_here():
            self._server_termination_event.set()

    def _is_shutting_down(self) -> bool:
        return self._shutdown_once_executions_finish_event.is_set()

    def _why_draining(self) -> str | None:
        if self._is_shutting_down():
            return "It is shutting down."
        task = self._processes.task if self._processes is not None else None
        return task.why_draining if task is not None else None


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
        os.environ.setdefault(_GRACE, str(_GRACE_SECONDS))
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
        replaced(health, "HealthServicer", call_threads.PromptHealth),
    ):
        grpc_command.main(
            list(options),
            prog_name="run-isolation code-server",
            auto_envvar_prefix=_VARIABLES,
            default_map={"max_workers": call_threads.MAX_WORKERS, **defaults},
        )
