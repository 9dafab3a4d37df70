"""Where a task's output is, and the end of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from run_isolation.tasks import CONTAINER, task_id

if TYPE_CHECKING:
    from types_boto3_logs import CloudWatchLogsClient

TAIL_LINES: Final = 20
"""How much of a task's output is put into a message."""
_LINE_CHARACTERS: Final = 500


@dataclass(frozen=True)
class LogStream:
    """The output of one task's container ``dagster``, in CloudWatch Logs."""

    region: str
    group: str
    name: str

    @classmethod
    def of(cls, region: str, group: str, kind: str, task_arn: str) -> LogStream:
        """That of a task.

        Args:
            region: The log group's.
            group: The code location's log group.
            kind: ``isolated`` or ``standing``, the stream's prefix.
            task_arn: The task.
        """
        # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/using_awslogs.html
        return cls(region, group, f"{kind}/{CONTAINER}/{task_id(task_arn)}")

    @property
    def url(self) -> str:
        """Its page in the AWS console."""
        group, name = _fragment(self.group), _fragment(self.name)
        return (
            f"https://{_console(self.region)}/cloudwatch/home?region={self.region}"
            f"#logsV2:log-groups/log-group/{group}/log-events/{name}"
        )

    def tail(self, client: CloudWatchLogsClient, lines: int = TAIL_LINES) -> Sequence[str]:
        """Its last lines, each with its time (UTC); none where the task never wrote any.

        Raises:
            botocore.exceptions.BotoCoreError: CloudWatch Logs could not be asked.
            botocore.exceptions.ClientError: CloudWatch Logs refused.
        """
        try:
            answer = client.get_log_events(
                logGroupName=self.group, logStreamName=self.name, limit=lines, startFromHead=False
            )
        except client.exceptions.ResourceNotFoundException:
            return []
        return [
            f"{_time(event.get('timestamp', 0))} {event.get('message', '')[:_LINE_CHARACTERS]}"
            for event in answer["events"]
        ]


def _fragment(name: str) -> str:
    """The console decodes its fragment twice, with ``$`` in place of the second ``%``."""
    return quote(quote(name, safe=""), safe="").replace("%", "$")


def _console(region: str) -> str:
    """The console's host in the region's partition.

    https://docs.aws.amazon.com/general/latest/gr/rande.html
    """
    if region.startswith("cn-"):
        return "console.amazonaws.cn"
    if region.startswith("us-gov-"):
        return "console.amazonaws-us-gov.com"
    return f"{region}.console.aws.amazon.com"


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%H:%M:%S")
