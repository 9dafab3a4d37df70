"""Checks of where a task or service is to run, and what DescribeTasks repeats of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from moto.core.exceptions import ServiceException
from moto.ec2.models import ec2_backends
from moto.ecs.exceptions import InvalidParameterException

#: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-using-tags.html
_MAX_TAGS, _MAX_KEY, _MAX_VALUE = 50, 128, 256

_STARTED_BY = re.compile(r"[A-Za-z0-9_/-]{0,128}")

_FARGATE_PROVIDERS = ("FARGATE", "FARGATE_SPOT")


def check_run_task(params: Mapping[str, Any]) -> int:
    """Return how many tasks RunTask is asked for.

    Raises:
        InvalidParameterException: Too many, or `startedBy` is not allowed.
    """
    count = int(params.get("count") or 1)
    if not 1 <= count <= 10:
        raise InvalidParameterException("Count must be between 1 and 10.")
    if not _STARTED_BY.fullmatch(params.get("startedBy") or ""):
        raise InvalidParameterException(
            "startedBy: up to 128 letters, numbers, hyphens, forward slashes and underscores."
        )
    return count


def check_network(params: Mapping[str, Any], account_id: str, region: str) -> Mapping[str, Any]:
    """Return the awsvpc configuration of RunTask's or CreateService's parameters.

    Raises:
        InvalidParameterException: There is none, or a subnet or security group does not exist.
    """
    network = (params.get("networkConfiguration") or {}).get("awsvpcConfiguration")
    if not network:
        raise InvalidParameterException(
            "Network Configuration must be provided when networkMode 'awsvpc' is specified."
        )
    if not network.get("subnets"):
        raise InvalidParameterException("subnets can not be empty.")
    ec2 = ec2_backends[account_id][region]
    try:
        ec2.describe_subnets(subnet_ids=network["subnets"])
        ec2.describe_security_groups(group_ids=network.get("securityGroups") or [])
    except ServiceException as error:
        raise InvalidParameterException(
            f"Error retrieving network information: {error.message} (ErrorCode: {error.code})"
        ) from error
    return dict(network)


def check_capacity(params: Mapping[str, Any], cluster: Any) -> dict[str, Any]:
    """Return `launchType` or `capacityProviderName`, with the platform, for a Fargate task.

    Raises:
        InvalidParameterException: Both or another capacity than Fargate was asked for.
    """
    launch_type = params.get("launchType")
    strategy = params.get("capacityProviderStrategy")
    if launch_type and strategy:
        raise InvalidParameterException(
            "Specify either launchType or capacityProviderStrategy, but not both."
        )
    if not launch_type:
        strategy = strategy or cluster.default_capacity_provider_strategy
    if strategy:
        name = strategy[0]["capacityProvider"]
        if name not in _FARGATE_PROVIDERS:
            raise InvalidParameterException(
                f"The specified capacity provider {name} was not found."
            )
        if name not in (cluster.capacity_providers or []):
            raise InvalidParameterException(
                f"The specified capacity provider {name} is not associated with the cluster."
            )
        chosen = {"capacityProviderName": name, "launchType": "FARGATE"}
    elif launch_type == "FARGATE":
        chosen = {"launchType": "FARGATE"}
    else:
        raise InvalidParameterException("No Container Instances were found in your cluster.")
    version = params.get("platformVersion") or "LATEST"
    return chosen | {
        "platformVersion": "1.4.0" if version == "LATEST" else version,
        "platformFamily": "Linux",
        "enableExecuteCommand": bool(params.get("enableExecuteCommand")),
    }


def check_tags(tags: Sequence[Mapping[str, str]]) -> None:
    """Raise for tags that ECS refuses.

    Raises:
        InvalidParameterException: Too many, too long, or a key twice.
    """
    keys = [tag["key"] for tag in tags]
    if len(keys) > _MAX_TAGS:
        raise InvalidParameterException(f"Too many tags: at most {_MAX_TAGS} are allowed.")
    if len(set(keys)) < len(keys):
        raise InvalidParameterException("Duplicate tag keys found.")
    for tag in tags:
        if not 1 <= len(tag["key"]) <= _MAX_KEY or len(tag.get("value", "")) > _MAX_VALUE:
            raise InvalidParameterException(
                f"Tag {tag['key']!r}: keys have 1 to {_MAX_KEY} characters, values at most "
                f"{_MAX_VALUE}."
            )


def merge_tags(*layers: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Return all tags; a later layer wins."""
    merged = {tag["key"]: tag.get("value", "") for layer in layers for tag in layer}
    return [{"key": key, "value": value} for key, value in merged.items()]
