"""Wait until each code location's standing container answers, and ask it what it serves."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import tenacity
from pydantic import BaseModel
from rich.console import Console

from run_isolation.errors import ManifestError
from run_isolation.manifest import Location, Manifest
from tools.local.account import Account
from tools.local.code_server import NotServingError, Served, ask, check_health
from tools.local.errors import StepError
from tools.progress import working

if TYPE_CHECKING:
    from types_boto3_ecs import ECSClient

PATIENCE = 120.0
"""Seconds until a container must answer. At 0.25 vCPU a code server takes 6 to 10 to start."""
LOG_LINES = 8


class Standing(BaseModel):
    """A standing container that answers."""

    location: str
    host: str
    """The name under which Dagster finds it."""
    address: str
    """host:port of its task's own network interface."""
    task: str
    """ARN."""
    task_definition: str
    """Family and revision."""
    cpu: int
    """CPU units."""
    memory: int
    """MiB."""
    log_group: str
    serves: Served


def load_manifest(account: Account, parameter: str) -> Manifest:
    """Read what `pulumi up` says that the deployment consists of.

    Raises:
        StepError: the SSM parameter is missing or not understood.
    """
    ssm = account.session.client("ssm", endpoint_url=account.endpoint_url)
    try:
        return Manifest.load(parameter, ssm)
    except ManifestError as error:
        raise StepError(str(error)) from error


def wait_until_answering(account: Account, manifest: Manifest, console: Console) -> list[Standing]:
    """Wait for the standing containers of all code locations, at the same time.

    Raises:
        StepError: one does not answer in time.
    """
    missing = list(manifest.locations)
    with (
        working(console, f"Waiting for {len(missing)} standing containers") as show,
        ThreadPoolExecutor(max_workers=8) as pool,
    ):

        def wait(name: str) -> Standing:
            show(", ".join(missing))
            found = _wait_for(account, manifest, name)
            missing.remove(name)
            show(", ".join(missing))
            return found

        return list(pool.map(wait, list(manifest.locations)))


def _wait_for(account: Account, manifest: Manifest, name: str) -> Standing:
    ecs: ECSClient = account.session.client("ecs", endpoint_url=account.endpoint_url)
    location = manifest.locations[name]
    # gRPC resolves the name itself, through the account's own server.
    target = f"dns://{account.dns}/{location.host}"

    def look() -> Mapping[str, Any]:
        task = settled_task(ecs, manifest.cluster, name)
        check_health(target, location.port)
        return task

    try:
        task: Mapping[str, Any] = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(NotServingError),
            stop=tenacity.stop_after_delay(PATIENCE),
            wait=tenacity.wait_fixed(0.5),
            reraise=True,
        )(look)
    except NotServingError as error:
        raise StepError(
            f"{name}: no answer within {PATIENCE:g} s. {error}\n"
            f"Last lines of its log group {location.log_group}:\n"
            + _last_lines(account, location.log_group)
        ) from error
    return _standing(name, location, task, ask(name, target, location.port))


def settled_task(ecs: ECSClient, cluster: str, service: str) -> Mapping[str, Any]:
    """The one running task of a service whose deployment is over.

    Raises:
        NotServingError: there is none yet.
    """
    described = ecs.describe_services(cluster=cluster, services=[service])["services"][0]
    arns = ecs.list_tasks(cluster=cluster, serviceName=service)["taskArns"]
    tasks = ecs.describe_tasks(cluster=cluster, tasks=arns)["tasks"] if arns else []
    running = [task for task in tasks if task["lastStatus"] == "RUNNING"]
    wanted = described["taskDefinition"]
    if [task["taskDefinitionArn"] for task in running] != [wanted]:
        events = described["events"]
        said = f' ECS says: "{events[0]["message"]}"' if events else ""
        raise NotServingError(
            f"Service {service} does not have exactly one running task of {wanted}.{said}"
        )
    return running[0]


def _standing(name: str, location: Location, task: Mapping[str, Any], serves: Served) -> Standing:
    address = task["containers"][0]["networkInterfaces"][0]["privateIpv4Address"]
    return Standing(
        location=name,
        host=location.host,
        address=f"{address}:{location.port}",
        task=task["taskArn"],
        task_definition=task["taskDefinitionArn"].rsplit("/", 1)[-1],
        cpu=int(task["cpu"]),
        memory=int(task["memory"]),
        log_group=location.log_group,
        serves=serves,
    )


def _last_lines(account: Account, log_group: str) -> str:
    logs = account.session.client("logs", endpoint_url=account.endpoint_url)
    streams = logs.describe_log_streams(
        logGroupName=log_group, orderBy="LastEventTime", descending=True, limit=1
    )["logStreams"]
    if not streams:
        return "  (it is empty)"
    events = logs.get_log_events(
        logGroupName=log_group, logStreamName=streams[0]["logStreamName"], limit=LOG_LINES
    )["events"]
    return "\n".join(f"  {event['message'].rstrip()}" for event in events)
