"""The server of a standing container: Dagster's own, which starts each run once and frees its slot.

Dagster's server starts a second process when StartRun comes twice (dagster/_grpc/server.py), and a
caller whose answer got lost can't help calling twice.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from threading import Lock
from typing import Any, Final

import dagster._grpc.server
import grpc
from dagster._cli.api import grpc_command
from dagster._grpc.__generated__ import dagster_api_pb2
from dagster._grpc.types import ExecuteExternalJobArgs
from dagster._serdes import deserialize_value

from run_isolation.dagster.deployment import Deployment
from run_isolation.dagster.seam import replaced
from run_isolation.dagster.server_identity import ATTEMPT_KEY, SERVER_KEY, ServerIdentity
from run_isolation.errors import RunIsolationError
from run_isolation.task_metadata import TaskMetadata

_REMEMBERED_STARTS: Final = 1000
"""How many runs a server tells apart from new ones. A caller repeats itself for minutes at most."""

StartRunReply = dagster_api_pb2.StartRunReply


class RunIsolationApiServer(dagster._grpc.server.DagsterApiServer):
    """Dagster's servicer, with StartRun once per run and the slot given back when a run is over.

    ``_mp_ctx``, which Dagster's servicer makes its run processes with, is where warm starts go.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # Before Dagster's own, which starts the thread that calls _clear_run.
        self._starts: OrderedDict[str, Future[StartRunReply]] = OrderedDict()
        self._starts_lock = Lock()
        self._attempts: dict[str, int] = {}
        self._releases = ThreadPoolExecutor(max_workers=1, thread_name_prefix="release-slot")
        super().__init__(*args, **kwargs)

    def StartRun(  # noqa: N802  # gRPC's name
        self, request: dagster_api_pb2.StartRunRequest, context: grpc.ServicerContext
    ) -> StartRunReply:
        """Starts the run's process; a repeated call waits for the first and gets its answer."""
        metadata = {key: str(value) for key, value in context.invocation_metadata()}
        if metadata.get(SERVER_KEY, self._server_id) != self._server_id:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"This is {self._server_id}.")
        args = deserialize_value(request.serialized_execute_run_args, ExecuteExternalJobArgs)
        with self._starts_lock:
            first = args.run_id not in self._starts
            answer = self._starts.setdefault(args.run_id, Future())
            if first and ATTEMPT_KEY in metadata:
                self._attempts[args.run_id] = int(metadata[ATTEMPT_KEY])
            if len(self._starts) > _REMEMBERED_STARTS:
                self._starts.popitem(last=False)
        if first:
            try:
                answer.set_result(super().StartRun(request, context))
            except BaseException as error:
                answer.set_exception(error)
                raise
        return answer.result()

    def cleanup(self) -> None:
        """Waits for the runs to end, as Dagster's does, and for their slots to be free."""
        super().cleanup()
        self._releases.shutdown(wait=True)

    def _check_for_orphaned_runs(self) -> None:
        # Called twice a second in a thread that an exception would end for good, and with it every
        # notice of a run's end.
        try:
            super()._check_for_orphaned_runs()
        except Exception:
            self._logger.exception("Could not look after ended runs; trying again.")

    def _clear_run(self, run_id: str) -> None:
        """Dagster's own hook: the run's process is over, however it ended. Holds its lock."""
        super()._clear_run(run_id)
        attempt = self._attempts.pop(run_id, None)
        if attempt is not None:
            self._releases.submit(self._release, run_id, attempt)

    @cached_property
    def _deployment(self) -> Deployment:
        return Deployment()

    def _release(self, run_id: str, attempt: int) -> None:
        try:
            self._deployment.slots.release(run_id, attempt)
        except RunIsolationError as error:
            self._logger.warning("Slot of run %s is left to the reconciler. %s", run_id, error)


def serve(options: Sequence[str], task: TaskMetadata | None) -> None:
    """Runs ``dagster api grpc`` with our servicer; ends the process when the server ends.

    Args:
        options: Of ``dagster api grpc``.
        task: The ECS task that this process is in. Outside of one the server has an id of Dagster's
            and takes no non-isolated runs.
    """
    mine = ["--host", "0.0.0.0"]  # noqa: S104  # no task, no address to prefer
    asked = grpc_command.make_context("code-server", list(options), resilient_parsing=True)
    port = asked.params["port"]
    if task is not None and port is not None:
        identity = ServerIdentity(task.task_arn, f"{task.address}:{port}")
        mine = ["--host", task.address, "--fixed-server-id", identity.to_server_id()]
    with replaced(dagster._grpc.server, "DagsterApiServer", RunIsolationApiServer):
        # The last of an option given twice counts, so the caller's wins.
        grpc_command.main([*mine, *options], prog_name="run-isolation code-server")
