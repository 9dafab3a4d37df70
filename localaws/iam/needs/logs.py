"""What calls of CloudWatch Logs need.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatchlogs.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from localaws.iam.needs.ask import Ask, Need, Row


def stream_arn(ask: Ask, group: str, stream: str) -> str:
    """Return the ARN of a log stream."""
    return ask.arn(f"log-group:{group}:log-stream:{stream}", "logs")


def _group_arn(ask: Ask) -> str:
    # The ARN of a group as policies mean it goes on with `:*`.
    return ask.arn(f"log-group:{ask.params.get('logGroupName', '')}:*")


def _stream(ask: Ask) -> Iterator[Need]:
    group, stream = ask.params.get("logGroupName", ""), ask.params.get("logStreamName", "")
    yield Need(f"logs:{ask.operation}", stream_arn(ask, group, stream))


def _group(ask: Ask) -> Iterator[Need]:
    yield Need(f"logs:{ask.operation}", _group_arn(ask))


ROWS: Final[dict[str, Row]] = {
    **dict.fromkeys(("GetLogEvents", "PutLogEvents", "CreateLogStream"), _stream),
    **dict.fromkeys(("FilterLogEvents", "DescribeLogStreams"), _group),
    **dict.fromkeys(("DescribeLogGroups", "CreateLogGroup"), _group),
}
