"""AWS clients that answer or fail within a known time, and how their errors are read.

Endpoint and credentials come from the environment, as the SDK reads them (AWS_ENDPOINT_URL ...).
The region is the manifest's; before there is one it is AWS_REGION, which ECS sets in tasks and
which botocore itself does not read.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from botocore.exceptions import ClientError
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_ecs import ECSClient
    from types_boto3_logs import CloudWatchLogsClient
    from types_boto3_s3 import S3Client
    from types_boto3_secretsmanager import SecretsManagerClient
    from types_boto3_servicediscovery import ServiceDiscoveryClient
    from types_boto3_ssm import SSMClient


@dataclass(frozen=True)
class Deadline:
    """How long one call may take. The SDK repeats lost and throttled calls within it."""

    connect_seconds: float
    read_seconds: float
    attempts: int

    @property
    def worst_seconds(self) -> float:
        """The longest that a call takes, with the SDK's pauses of at most 1, 2, 4 ... seconds.

        https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
        """
        pauses = float(2 ** (self.attempts - 1) - 1)
        return self.attempts * (self.connect_seconds + self.read_seconds) + pauses


DEADLINES: Final = {
    # Somebody may be waiting at the page: a launch makes two such calls, 24 seconds at worst.
    "dynamodb": Deadline(connect_seconds=1, read_seconds=2, attempts=3),
    # RunTask looks for capacity before it answers.
    "ecs": Deadline(connect_seconds=2, read_seconds=10, attempts=3),
    # The end of a task's output is nice to have; whoever wants it waits for nothing else.
    "logs": Deadline(connect_seconds=2, read_seconds=5, attempts=2),
    # A part of an output may be large, and no person waits for it.
    "s3": Deadline(connect_seconds=5, read_seconds=60, attempts=5),
    # A connection to the database waits for it, where its password has changed.
    "secretsmanager": Deadline(connect_seconds=2, read_seconds=5, attempts=3),
    # Asked again at the next look.
    "servicediscovery": Deadline(connect_seconds=2, read_seconds=3, attempts=1),
    "ssm": Deadline(connect_seconds=2, read_seconds=5, attempts=3),
}

ONCE: Final = Deadline(connect_seconds=2, read_seconds=10, attempts=1)
"""Of ECS, in a thread of Dagster's in which other runs wait: whatever was turned away, or got no
answer, is asked again later (``isolated.retries``, the monitor's next round)."""

AT_ONCE: Final = Deadline(connect_seconds=0.3, read_seconds=0.5, attempts=1)
"""What is asked in such a thread, where there is another way without the answer."""


def dynamodb(region: str | None = None, deadline: Deadline | None = None) -> DynamoDBClient:
    """A client for the slot table."""
    client: DynamoDBClient = _client("dynamodb", region, deadline)
    return client


def ecs(region: str | None = None, deadline: Deadline | None = None) -> ECSClient:
    """A client for launching and watching tasks."""
    client: ECSClient = _client("ecs", region, deadline)
    return client


def logs(region: str | None = None) -> CloudWatchLogsClient:
    """A client for reading what tasks wrote."""
    client: CloudWatchLogsClient = _client("logs", region)
    return client


def s3(region: str | None = None) -> S3Client:
    """A client for outputs of runs."""
    client: S3Client = _client("s3", region)
    return client


def cloud_map(region: str | None = None) -> ServiceDiscoveryClient:
    """A client for what Cloud Map knows of standing tasks."""
    client: ServiceDiscoveryClient = _client("servicediscovery", region)
    return client


def secrets_manager(region: str | None = None) -> SecretsManagerClient:
    """A client for reading secrets."""
    client: SecretsManagerClient = _client("secretsmanager", region)
    return client


def ssm(region: str | None = None, deadline: Deadline | None = None) -> SSMClient:
    """A client for reading the manifest, and parameters that are secrets."""
    client: SSMClient = _client("ssm", region, deadline)
    return client


def _client(service: str, region: str | None, deadline: Deadline | None = None) -> Any:
    # Imported here: most commands and the tests of pure code need no SDK.
    from boto3.session import Session
    from botocore.config import Config
    from botocore.exceptions import NoCredentialsError

    deadline = deadline or DEADLINES[service]
    # A session of its own: boto3's shared one must not be used by two threads at once.
    session = Session()
    if session.get_credentials() is None:
        # A client that is made without them never gets any, and whoever asks for it keeps it.
        raise NoCredentialsError
    return session.client(
        service,  # type: ignore[call-overload]  # one of DEADLINES
        region_name=region or os.environ.get("AWS_REGION"),
        config=Config(
            connect_timeout=deadline.connect_seconds,
            read_timeout=deadline.read_seconds,
            retries={"mode": "standard", "total_max_attempts": deadline.attempts},
        ),
    )


_DENIED: Final = re.compile(
    r"not authorized to perform: (?P<action>\S+)( on resource: (?P<on>\S+))?"
)


def denied_permission(error: ClientError) -> tuple[str, str] | None:
    """Action and resource that an AccessDeniedException's text names, where it names them.

    The text's form:
    https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
    """
    found = _DENIED.search(error.response["Error"]["Message"])
    return (found["action"], found["on"] or "*") if found else None
