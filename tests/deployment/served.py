"""What a standing container serves, asked over gRPC as Dagster's webserver asks."""

from __future__ import annotations

from dagster import DagsterInstance
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin
from dagster._core.remote_representation.code_location import GrpcServerCodeLocation

from localaws.account import LocalAccount

PORT = 4000


def code_version(account: LocalAccount, stack: str, location: str = "probe") -> str:
    """The release of the probe's code that answers under the location's name."""
    host = f"dns://{account.dns}/{location}.{stack}.run-isolation.internal"
    origin = GrpcServerCodeLocationOrigin(host=host, port=PORT, location_name=location)
    with DagsterInstance.ephemeral() as instance:
        code = GrpcServerCodeLocation(origin, instance=instance, watch_server=False)
        try:
            [repository] = code.get_repositories().values()
            [job] = [job for job in repository.get_all_jobs() if job.name == "work_job"]
            return job.tags["probe/code_version"]
        finally:
            code.cleanup()
