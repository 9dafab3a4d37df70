"""A client of one standing server, at its address. Dagster's own client serves names, not tasks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import grpc
from dagster import DagsterInstance, DagsterRun
from dagster._core.remote_origin import RemoteJobOrigin
from dagster._grpc.__generated__ import dagster_api_pb2
from dagster._grpc.__generated__.dagster_api_pb2_grpc import DagsterApiStub
from dagster._grpc.types import (
    CancelExecutionRequest,
    CancelExecutionResult,
    ExecuteExternalJobArgs,
    GetCurrentRunsResult,
    StartRunResult,
)
from dagster._serdes import deserialize_value, serialize_value

from run_isolation import start_run_timers, tag_names
from run_isolation.dagster import channels
from run_isolation.errors import RunIsolationError
from run_isolation.server_identity import ATTEMPT_KEY, EXPECTED_KEY, SERVER_KEY, ServerIdentity

DRAINING: Final = grpc.StatusCode.ABORTED
"""How a draining server refuses a new run: "retry at a higher level"
(https://grpc.github.io/grpc/core/md_doc_statuscodes.html), which is to ask the name again."""


BEING_STARTED: Final = grpc.StatusCode.ALREADY_EXISTS
"""How a server answers a StartRun whose outcome it does not know yet. To a launcher that does not
know the code it is silence, after which it asks again."""

_RAISED: Final = "Exception calling application"
"""What grpc's server says of a servicer that raised (grpc/_server.py)."""


class ServerSilentError(RunIsolationError):
    """The server did not answer. A StartRun may have been carried out all the same."""


class ServerStartingError(ServerSilentError):
    """The server is starting the run. How that ends is not known yet."""


class ServerFailedError(ServerSilentError):
    """The server has answered with an error, and is done with the call."""


class ServerReplacedError(RunIsolationError):
    """Another server answers at this address: the one that was meant is gone."""


class ServerDrainingError(RunIsolationError):
    """The server starts no more runs. It has not started this one and will not."""


class StandingServer:
    """The server process of one standing task."""

    def __init__(self, address: str) -> None:
        self._address = address

    def start_run(
        self,
        instance: DagsterInstance,
        run: DagsterRun,
        origin: RemoteJobOrigin,
        identity: ServerIdentity,
        attempt: int,
        seconds: float = start_run_timers.START_RUN_SECONDS,
    ) -> StartRunResult:
        """Starts the run's process, or tells how the first such call of this run went.

        Args:
            instance: Where the run is stored.
            run: The run.
            origin: Its job.
            identity: The server that is meant.
            attempt: Of the run, which holds a slot.
            seconds: How long to wait for the answer.

        Raises:
            ServerSilentError: Whether it was started is not known.
            ServerReplacedError: The server is gone.
            ServerDrainingError: Another server of the location has taken its place.
        """
        args = ExecuteExternalJobArgs(
            job_origin=origin, run_id=run.run_id, instance_ref=instance.get_ref()
        )
        request = dagster_api_pb2.StartRunRequest(serialized_execute_run_args=serialize_value(args))
        metadata = [(SERVER_KEY, identity.to_server_id()), (ATTEMPT_KEY, str(attempt))]
        if expected := run.tags.get(tag_names.EXPECTED_MIB):
            metadata.append((EXPECTED_KEY, expected))
        with self._calling() as stub:
            reply = stub.StartRun(request, timeout=seconds, metadata=metadata)
        return deserialize_value(reply.serialized_start_run_result, StartRunResult)

    def cancel_run(self, run_id: str) -> bool:
        """Interrupts the run's process, if the server has one.

        Raises:
            ServerSilentError: Whether it was interrupted is not known.
        """
        request = dagster_api_pb2.CancelExecutionRequest(
            serialized_cancel_execution_request=serialize_value(
                CancelExecutionRequest(run_id=run_id)
            )
        )
        with self._calling() as stub:
            reply = stub.CancelExecution(request, timeout=start_run_timers.ASK_SECONDS)
        result = deserialize_value(reply.serialized_cancel_execution_result, CancelExecutionResult)
        return bool(result.success)

    def identity(self) -> ServerIdentity | None:
        """Who answers at the address. None for a server that is not ours, or not in a task.

        Raises:
            ServerSilentError: Nobody.
        """
        with self._calling() as stub:
            reply = stub.GetServerId(dagster_api_pb2.Empty(), timeout=start_run_timers.ASK_SECONDS)
        return ServerIdentity.from_server_id(reply.server_id)

    def current_runs(self, task_arn: str) -> frozenset[str]:
        """The runs whose processes the server of this task has.

        Raises:
            ServerSilentError: It did not answer.
            ServerReplacedError: Another task has this address now.
        """
        with self._calling() as stub:
            server_id = stub.GetServerId(
                dagster_api_pb2.Empty(), timeout=start_run_timers.ASK_SECONDS
            ).server_id
            identity = ServerIdentity.from_server_id(server_id)
            if identity is None or identity.task_arn != task_arn:
                raise ServerReplacedError(f"{self._address} is now {server_id}.")
            reply = stub.GetCurrentRuns(
                dagster_api_pb2.Empty(), timeout=start_run_timers.ASK_SECONDS
            )
        result = deserialize_value(reply.serialized_current_runs, GetCurrentRunsResult)
        return frozenset(result.current_runs)

    @contextmanager
    def _calling(self) -> Iterator[Any]:
        with grpc.insecure_channel(self._address, options=channels.options()) as channel:
            try:
                yield DagsterApiStub(channel)  # type: ignore[no-untyped-call]  # generated code
            except grpc.RpcError as error:
                raise self._read(error.code(), error.details() or "") from error

    def _read(self, code: grpc.StatusCode, details: str) -> RunIsolationError:
        """What an error of gRPC's means."""
        if code is grpc.StatusCode.FAILED_PRECONDITION:
            return ServerReplacedError(details)
        if code is DRAINING:
            return ServerDrainingError(details)
        said = f"{self._address}: {code.name}, {details}"
        if code is grpc.StatusCode.UNIMPLEMENTED:
            return ServerReplacedError(f"Who answers there is no code server. {said}")
        if code is BEING_STARTED:
            return ServerStartingError(said)
        # By the words: a connection that is lost may be told with the same code.
        if code is grpc.StatusCode.UNKNOWN and details.startswith(_RAISED):
            return ServerFailedError(said)
        return ServerSilentError(said)


def is_there(server: ServerIdentity) -> bool:
    """Whether this very server answers at its address."""
    try:
        return StandingServer(server.address).identity() == server
    except ServerSilentError:
        return False
