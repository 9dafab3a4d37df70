"""The instance of runs and ticks in a server: its own, whatever instance a caller sends.

What the webserver or the daemon sends says where things are on their machines, and may be of
another version of the deployment's instance. Dagster hands it on to whatever it executes for a
call.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import dagster._cli.utils
import dagster._grpc.server
from dagster import DagsterError, DagsterInvariantViolationError, _record
from dagster._core.instance.ref import InstanceRef
from dagster._grpc.__generated__ import dagster_api_pb2
from dagster._grpc.types import ExecuteExternalJobArgs
from dagster._serdes import deserialize_value, serialize_value

from run_isolation.dagster.patching import SeamError, replaced
from run_isolation.dagster.warm.quick_storage import on_sqlite

_log: Final = logging.getLogger("dagster.code_server")

_FIELD: Final = "instance_ref"


class OwnInstance:
    """One instance for all that a server executes.

    Args:
        ref: The server's own; None leaves each caller's.
    """

    def __init__(self, ref: InstanceRef | None) -> None:
        self._ref = ref

    def of(self, args: Any) -> Any:
        """A call's arguments with this instance in place of the caller's."""
        if self._ref is None or not hasattr(args, _FIELD):
            return args
        if _record.is_record(args):
            return _record.copy(args, **{_FIELD: self._ref})
        return args._replace(**{_FIELD: self._ref})

    def start_run(
        self, request: dagster_api_pb2.StartRunRequest
    ) -> tuple[ExecuteExternalJobArgs, dagster_api_pb2.StartRunRequest]:
        """A StartRun's arguments, and the request with them: the run's process gets its text."""
        args = deserialize_value(request.serialized_execute_run_args, ExecuteExternalJobArgs)
        if self._ref is None:
            return args, request
        own = self.of(args)
        text = serialize_value(own)
        return own, dagster_api_pb2.StartRunRequest(serialized_execute_run_args=text)

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Has Dagster's server use it for each call that names an instance."""
        with ExitStack() as seams:
            if self._ref is not None:
                theirs = getattr(dagster._grpc.server, "deserialize_value", None)
                try:
                    seams.enter_context(
                        replaced(
                            dagster._grpc.server, "deserialize_value", self._reading_with(theirs)
                        )
                    )
                    seams.enter_context(
                        replaced(dagster._cli.utils, "get_instance_for_cli", self._to_load_code)
                    )
                except SeamError as error:
                    _log.warning("Ticks use the instance of whoever asks for them. %s", error)
            yield

    def _reading_with(self, read: Any) -> Callable[..., Any]:
        return lambda *args, **kwargs: self.of(read(*args, **kwargs))

    @contextmanager
    def _to_load_code(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """What the server has open while it serves. After an error of Dagster's it goes on without.

        Not on SQLite: whoever opens it first makes its tables, which come out wrong where two
        processes do so at once, and servers start side by side, and beside the webserver. On
        Postgres Dagster's storages bear that (``retry_pg_creation_fn``, dagster_postgres/utils.py).

        Raises:
            DagsterError: It is not open.
        """
        assert self._ref is not None  # noqa: S101  # for mypy: else this is not installed
        if on_sqlite(self._ref):
            raise DagsterInvariantViolationError("On SQLite a server loads code without it.")
        with ExitStack() as exits:
            try:
                instance = exits.enter_context(_open_for_cli(*args, **kwargs))
            except DagsterError:
                raise
            except Exception as error:
                # Such as of a database that does not answer: no reason to serve nothing, either.
                why = f"The Dagster instance can't be opened now. {error}"
                _log.warning("%s", why)
                raise DagsterInvariantViolationError(why) from error
            yield instance


_open_for_cli: Final[Any] = getattr(dagster._cli.utils, "get_instance_for_cli", None)
