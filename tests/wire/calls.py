"""StartRun, by which a launcher asks a standing server of another version to start a run."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, Final, cast
from unittest.mock import patch

import grpc
from dagster import DagsterRun
from dagster._core.instance.ref import InstanceRef
from dagster._core.remote_origin import (
    GrpcServerCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._grpc.__generated__ import dagster_api_pb2
from dagster._grpc.__generated__.dagster_api_pb2_grpc import (
    DagsterApiServicer,
    add_DagsterApiServicer_to_server,
)
from dagster._grpc.types import StartRunResult
from dagster._serdes import serialize_value

from run_isolation import tag_names
from run_isolation.dagster.home.merge import write_home
from run_isolation.dagster.standing.client import StandingServer
from tests.runtime.manifests import INSTANCE, MANIFEST
from tests.wire.values import LOCATION, RUN, SERVER

HOME: Final = "/opt/dagster"
ORIGIN: Final = RemoteJobOrigin(
    RemoteRepositoryOrigin(
        GrpcServerCodeLocationOrigin(
            host="sales.prod.run-isolation.internal", port=4000, location_name=LOCATION
        ),
        "__repository__",
    ),
    "report",
)


class Listener(DagsterApiServicer):
    """Hears StartRun. Refuses it with ``code`` where there is one."""

    def __init__(self, code: grpc.StatusCode | None = None) -> None:
        self._code = code
        self.metadata: dict[str, str] = {}
        self.args = ""

    def StartRun(self, request: Any, context: Any) -> Any:  # noqa: N802  # gRPC's name
        if self._code is not None:
            context.abort(self._code, "Not here.")
        sent = {key: str(value) for key, value in context.invocation_metadata()}
        self.metadata = {key: sent[key] for key in sent if key.startswith("run-isolation")}
        self.args = request.serialized_execute_run_args
        result = StartRunResult(success=True, message=None, serializable_error_info=None)
        return dagster_api_pb2.StartRunReply(serialized_start_run_result=serialize_value(result))


@contextmanager
def listening(listener: Listener) -> Iterator[StandingServer]:
    """A client of it."""
    server = grpc.server(ThreadPoolExecutor(1))
    add_DagsterApiServicer_to_server(listener, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield StandingServer(f"127.0.0.1:{port}")
    finally:
        server.stop(None)


def ask(server: StandingServer, ref: InstanceRef | None) -> StartRunResult:
    """Asks for the recorded run."""
    run = DagsterRun(job_name="report", run_id=RUN, tags={tag_names.EXPECTED_MIB: "212"})
    instance = cast("Any", SimpleNamespace(get_ref=lambda: ref))
    return server.start_run(instance, run, ORIGIN, SERVER, attempt=1)


def start_run() -> Any:
    """The call: our metadata, and Dagster's own arguments with the instance's reference in them."""
    listener = Listener()
    with TemporaryDirectory() as home, patch.dict(os.environ, {"DAGSTER_HOME": home}):
        write_home(Path(home), MANIFEST, INSTANCE)
        with listening(listener) as server:
            ask(server, InstanceRef.from_dir(home))
        args = json.loads(listener.args.replace(home, HOME))
    return {"metadata": listener.metadata, "args": args}


def ours(call: Any) -> Any:
    """What of the call is ours to keep; the rest is Dagster's, which changes with its versions."""
    ref = call["args"]["instance_ref"]
    classes = {
        key: [ref[key]["module_name"], ref[key]["class_name"]]
        for key in ("run_coordinator_data", "run_launcher_data")
    }
    return {"metadata": call["metadata"], "run_id": call["args"]["pipeline_run_id"], **classes}
