"""A call as the table of needs sees it, and what it needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

PARTITION = "aws"


@dataclass(frozen=True)
class Need:
    """One permission that a call needs.

    Attributes:
        action: Such as `ecs:RunTask`.
        resource: Its ARN, or `*` where the action has none.
        context: Condition keys that the call itself gives, by their documented names.
    """

    action: str
    resource: str
    context: Mapping[str, str | Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Ask:
    """One API call.

    Attributes:
        service: As it signs its requests.
        operation: The API's name; method and path for S3.
        params: The parameters.
        account: The account's id.
        region: The region.
        query: The query string's, for S3.
        headers: Of the request, in lower case, for S3.
        body: Of the request, for S3's DeleteObjects.
    """

    service: str
    operation: str
    params: Mapping[str, Any]
    account: str
    region: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def arn(self, resource: str, service: str | None = None) -> str:
        """Return the ARN of a resource of this account, region and service."""
        return f"arn:{PARTITION}:{service or self.service}:{self.region}:{self.account}:{resource}"


#: What a call of one operation needs.
Row: TypeAlias = Callable[[Ask], Iterable[Need]]


def request_tags(tags: Sequence[Mapping[str, str]]) -> dict[str, str | Sequence[str]]:
    """Return the condition keys of the tags that a request gives."""
    lower = [{key.lower(): value for key, value in tag.items()} for tag in tags]
    if not lower:
        return {}
    return {
        "aws:TagKeys": [tag["key"] for tag in lower],
        **{f"aws:RequestTag/{tag['key']}": tag.get("value", "") for tag in lower},
    }


def resource_tags(service: str, tags: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return the condition keys of a resource's tags, AWS's and the service's own."""
    lower = [{key.lower(): value for key, value in tag.items()} for tag in tags or ()]
    return {
        f"{prefix}:ResourceTag/{tag['key']}": tag.get("value", "")
        for tag in lower
        for prefix in ("aws", service)
    }
