"""Look-ups that a program makes through the provider, without a resource of its own."""

from collections.abc import Callable
from typing import Any

from localaws.provider.aws import Aws
from localaws.provider.network import Subnet, Vpc
from localaws.provider.wire import Props


def call(token: str, aws: Aws, args: Props) -> Props:
    """Answer one look-up.

    Raises:
        LookupError: The stand-in does not know the look-up, or one of its arguments.
    """
    if token not in _INVOKES:
        raise LookupError(
            f"The local account's stand-in provider does not answer {token}. "
            f"It answers: {', '.join(sorted(_INVOKES))}."
        )
    allowed, answer = _INVOKES[token]
    if unknown := sorted(set(args) - set(allowed)):
        raise LookupError(
            f"The local account's stand-in provider does not implement {unknown} of {token}. "
            f"It knows: {', '.join(allowed) or 'no arguments'}."
        )
    return answer(aws, args)


def _caller_identity(aws: Aws, args: Props) -> Props:
    found = aws.client("sts").get_caller_identity()
    account = found["Account"]
    return {"id": account, "accountId": account, "arn": found["Arn"], "userId": found["UserId"]}


def _partition(aws: Aws, args: Props) -> Props:
    suffix = "amazonaws.com.cn" if aws.partition == "aws-cn" else "amazonaws.com"
    reverse = ".".join(reversed(suffix.split(".")))
    return {
        "id": aws.partition,
        "partition": aws.partition,
        "dnsSuffix": suffix,
        "reverseDnsPrefix": reverse,
    }


def _region(aws: Aws, args: Props) -> Props:
    return {
        "id": aws.region,
        "name": aws.region,
        "region": aws.region,
        "description": aws.region,
        "endpoint": f"ec2.{aws.region}.amazonaws.com",
    }


def _zones(aws: Aws, args: Props) -> Props:
    filters = [{"Name": one["name"], "Values": one["values"]} for one in args.get("filters", [])]
    if "state" in args:
        filters.append({"Name": "state", "Values": [args["state"]]})
    answer = aws.client("ec2").describe_availability_zones(Filters=filters)
    zones = sorted(answer["AvailabilityZones"], key=lambda zone: zone["ZoneName"])
    excluded = args.get("excludeZoneIds", [])
    kept = [zone for zone in zones if zone["ZoneId"] not in excluded]
    return {
        **args,
        "id": aws.region,
        "region": aws.region,
        "names": [zone["ZoneName"] for zone in kept],
        "zoneIds": [zone["ZoneId"] for zone in kept],
        "groupNames": sorted({zone.get("GroupName", aws.region) for zone in kept}),
    }


def _subnet(aws: Aws, args: Props) -> Props:
    return {"id": args["id"], "region": aws.region, **(Subnet().read(aws, args["id"], {}) or {})}


def _vpc(aws: Aws, args: Props) -> Props:
    return {"id": args["id"], "region": aws.region, **(Vpc().read(aws, args["id"], {}) or {})}


_INVOKES: dict[str, tuple[tuple[str, ...], Callable[[Aws, Props], dict[str, Any]]]] = {
    "aws:index/getCallerIdentity:getCallerIdentity": ((), _caller_identity),
    "aws:index/getPartition:getPartition": ((), _partition),
    "aws:index/getRegion:getRegion": ((), _region),
    "aws:index/getAvailabilityZones:getAvailabilityZones": (
        ("state", "filters", "excludeZoneIds"),
        _zones,
    ),
    "aws:ec2/getSubnet:getSubnet": (("id",), _subnet),
    "aws:ec2/getVpc:getVpc": (("id",), _vpc),
}
