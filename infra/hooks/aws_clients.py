"""AWS's API for the hooks, with the credentials of the environment (or of ``aws:profile``)."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import boto3
import pulumi
from botocore.config import Config

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_ec2 import EC2Client
    from types_boto3_ecs import ECSClient
    from types_boto3_iam import IAMClient
    from types_boto3_logs import CloudWatchLogsClient


class Clients:
    """Each client is made when it is first asked for, in the program's own thread.

    Clients may be used by many threads; a session makes one at a time
    (https://boto3.amazonaws.com/v1/documentation/api/latest/guide/clients.html).
    """

    def __init__(self, region: str) -> None:
        self._region = region

    @cached_property
    def ecs(self) -> ECSClient:
        """ECS."""
        client: ECSClient = self._client("ecs")
        return client

    @cached_property
    def ecs_of_revisions(self) -> ECSClient:
        """ECS, for DeregisterTaskDefinition, which is throttled to a call per second.

        It slows itself down, and must not slow down the others.
        """
        client: ECSClient = self._client("ecs", "adaptive")
        return client

    @cached_property
    def logs(self) -> CloudWatchLogsClient:
        """CloudWatch Logs."""
        client: CloudWatchLogsClient = self._client("logs")
        return client

    @cached_property
    def dynamodb(self) -> DynamoDBClient:
        """DynamoDB."""
        client: DynamoDBClient = self._client("dynamodb")
        return client

    @cached_property
    def iam(self) -> IAMClient:
        """IAM."""
        client: IAMClient = self._client("iam")
        return client

    @cached_property
    def ec2(self) -> EC2Client:
        """EC2."""
        client: EC2Client = self._client("ec2")
        return client

    @cached_property
    def _session(self) -> boto3.Session:
        profile = pulumi.Config("aws").get("profile")
        return boto3.Session(profile_name=profile, region_name=self._region)

    def _client(self, service: str, retries: Literal["standard", "adaptive"] = "standard") -> Any:
        config = Config(retries={"mode": retries, "max_attempts": 10})
        return self._session.client(service, config=config)  # type: ignore[call-overload]
