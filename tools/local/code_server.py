"""Ask a code server what it serves, as Dagster's webserver asks it."""

from __future__ import annotations

from collections.abc import Iterable

import grpc
from dagster import DagsterInstance
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin
from dagster._core.remote_representation.code_location import GrpcServerCodeLocation
from dagster._core.remote_representation.external import RemoteRepository
from grpc_health.v1 import health_pb2, health_pb2_grpc
from pydantic import BaseModel

SERVICE = "DagsterApi"
"""The name that Dagster's code servers give to the health check: dagster/_grpc/server.py."""
HEALTH_TIMEOUT = 5.0
"""Seconds for the answer to one health check."""


class Served(BaseModel):
    """Names of what a code location defines."""

    assets: list[str]
    jobs: list[str]
    sensors: list[str]
    schedules: list[str]
    repositories: dict[str, list[str]]
    """The jobs of each repository; there is one, unless the code defines several."""


class NotServingError(Exception):
    """The code server does not answer, or not yet. The message says how."""


def check_health(host: str, port: int) -> None:
    """Ask for gRPC's standard health check.

    https://github.com/grpc/grpc/blob/master/doc/health-checking.md

    Raises:
        NotServingError: no answer, or another one than SERVING.
    """
    request = health_pb2.HealthCheckRequest(service=SERVICE)
    with grpc.insecure_channel(f"{host}:{port}") as channel:
        try:
            response = health_pb2_grpc.HealthStub(channel).Check(request, timeout=HEALTH_TIMEOUT)
        except grpc.RpcError as error:
            raise NotServingError(f"{host}:{port} does not answer: {error.details()}") from error
    if response.status != health_pb2.HealthCheckResponse.SERVING:
        raise NotServingError(f"{host}:{port} answers, but is not serving yet: {response}")


def ask(location: str, host: str, port: int) -> Served:
    """Load the code location's definitions from its server.

    Raises:
        DagsterUserCodeProcessError: the server could not load the user's code.
    """
    origin = GrpcServerCodeLocationOrigin(host=host, port=port, location_name=location)
    with DagsterInstance.ephemeral() as instance:
        code = GrpcServerCodeLocation(origin, instance=instance, watch_server=False)
        try:
            return _listing(code.get_repositories().values())
        finally:
            code.cleanup()


def _listing(repositories: Iterable[RemoteRepository]) -> Served:
    served = Served(assets=[], jobs=[], sensors=[], schedules=[], repositories={})
    for repository in repositories:
        assets = repository.get_asset_node_snaps()
        served.assets += [asset.asset_key.to_user_string() for asset in assets]
        # Dagster makes a job of its own for materializing assets by hand.
        names = [job.name for job in repository.get_all_jobs()]
        jobs = [name for name in names if not name.startswith("__")]
        served.jobs += jobs
        served.repositories[repository.name] = jobs
        served.sensors += [sensor.name for sensor in repository.get_sensors()]
        served.schedules += [schedule.name for schedule in repository.get_schedules()]
    return served
