"""Calls about runs that start nothing, each answered at once.

Runs in: server.
"""

from __future__ import annotations

import grpc
from dagster._grpc.__generated__ import dagster_api_pb2
from dagster._grpc.server import DagsterApiServer
from dagster._grpc.types import (
    CanCancelExecutionRequest,
    CanCancelExecutionResult,
    CancelExecutionRequest,
    CancelExecutionResult,
    GetCurrentRunsResult,
)
from dagster._serdes import deserialize_value, serialize_value

from run_isolation.dagster.standing.run_processes import RunProcesses


class RunCalls(DagsterApiServer):
    """Dagster's servicer, whose answers about runs wait for nobody."""

    _processes: RunProcesses | None = None
    """None while the servicer is made: Dagster's begins to look after runs before that is done."""

    def CancelExecution(  # noqa: N802  # gRPC's name
        self, request: dagster_api_pb2.CancelExecutionRequest, context: grpc.ServicerContext
    ) -> dagster_api_pb2.CancelExecutionReply:
        """Interrupts the run's process.

        Dagster's servicer waits until the process has noticed, with a lock held that all of its
        calls need: for ever where the process is stopped, or was killed a moment ago.
        """
        run = deserialize_value(request.serialized_cancel_execution_request, CancelExecutionRequest)
        result = CancelExecutionResult(
            success=self._processes is not None and self._processes.cancel(run.run_id),
            message=None,
            serializable_error_info=None,
        )
        return dagster_api_pb2.CancelExecutionReply(
            serialized_cancel_execution_result=serialize_value(result)
        )

    def CanCancelExecution(  # noqa: N802  # gRPC's name
        self, request: dagster_api_pb2.CanCancelExecutionRequest, context: grpc.ServicerContext
    ) -> dagster_api_pb2.CanCancelExecutionReply:
        """Whether the run has a process that nobody has interrupted."""
        assert self._processes is not None  # noqa: S101  # Dagster's serves no calls before
        run = deserialize_value(
            request.serialized_can_cancel_execution_request, CanCancelExecutionRequest
        )
        result = CanCancelExecutionResult(can_cancel=self._processes.can_cancel(run.run_id))
        return dagster_api_pb2.CanCancelExecutionReply(
            serialized_can_cancel_execution_result=serialize_value(result)
        )

    def GetCurrentRuns(  # noqa: N802  # gRPC's name
        self, request: dagster_api_pb2.Empty, context: grpc.ServicerContext
    ) -> dagster_api_pb2.GetCurrentRunsReply:
        """The runs that have a process here, or are about to get one."""
        assert self._processes is not None  # noqa: S101  # Dagster's serves no calls before
        runs = self._processes.current()
        result = GetCurrentRunsResult(current_runs=runs, serializable_error_info=None)
        return dagster_api_pb2.GetCurrentRunsReply(serialized_current_runs=serialize_value(result))
