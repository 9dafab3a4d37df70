"""What single operations of other services need."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from moto.servicediscovery.models import servicediscovery_backends

from localaws.iam.needs.ask import PARTITION, Ask, Need, Row


def _nothing(ask: Ask) -> Iterator[Need]:
    """GetCallerIdentity needs no permission, and none can be denied.

    https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
    """
    yield from ()


def _assume_role(ask: Ask) -> Iterator[Need]:
    context = {"sts:RoleSessionName": str(ask.params.get("RoleSessionName"))}
    if external := ask.params.get("ExternalId"):
        context["sts:ExternalId"] = external
    yield Need("sts:AssumeRole", str(ask.params.get("RoleArn")), context)


def _discover(ask: Ask) -> Iterator[Need]:
    """https://docs.aws.amazon.com/service-authorization/latest/reference/list_awscloudmap.html."""
    context = {
        "servicediscovery:NamespaceName": str(ask.params.get("NamespaceName")),
        "servicediscovery:ServiceName": str(ask.params.get("ServiceName")),
    }
    yield Need("servicediscovery:DiscoverInstances", "*", context)


def _cloud_map_service(ask: Ask) -> Iterator[Need]:
    """The service, and its tags.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_awscloudmap.html
    """
    arn = ask.arn(f"service/{ask.params.get('ServiceId')}")
    backend = servicediscovery_backends[ask.account][ask.region]
    tags = {
        f"aws:ResourceTag/{tag['Key']}": tag["Value"]
        for tag in backend.list_tags_for_resource(arn)["Tags"]
    }
    context = {"servicediscovery:ServiceArn": arn, **tags}
    yield Need(f"servicediscovery:{ask.operation}", arn, context)


def _repository(ask: Ask) -> Iterator[Need]:
    """https://docs.aws.amazon.com/AmazonECR/latest/userguide/repository-policy-examples.html."""
    owner, name = ask.params.get("registryId") or ask.account, ask.params.get("repositoryName")
    yield Need(
        f"ecr:{ask.operation}", f"arn:{PARTITION}:ecr:{ask.region}:{owner}:repository/{name}"
    )


def _anything(ask: Ask) -> Iterator[Need]:
    yield Need(f"{ask.service}:{ask.operation}", "*")


ROWS: Final[dict[tuple[str, str], Row]] = {
    ("sts", "GetCallerIdentity"): _nothing,
    ("sts", "AssumeRole"): _assume_role,
    ("servicediscovery", "DiscoverInstances"): _discover,
    ("servicediscovery", "GetInstancesHealthStatus"): _cloud_map_service,
    ("ecr", "GetAuthorizationToken"): _anything,
    **{
        ("ecr", name): _repository
        for name in ("BatchCheckLayerAvailability", "BatchGetImage", "GetDownloadUrlForLayer")
    },
    **{
        ("ec2", name): _anything
        for name in (
            *("DescribeSubnets", "DescribeRouteTables", "DescribeSecurityGroups"),
            *("DescribeNetworkInterfaces", "DescribeVpcs"),
        )
    },
}
