"""Where output is, and how its end is read."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from run_isolation.task_logs import LogStream

TASK = "arn:aws:ecs:us-east-1:000000000000:task/run-isolation-prod/abc"
STREAM = LogStream.of("us-east-1", "/run-isolation/prod/sales", "isolated", TASK)
ASKED = {
    "logGroupName": "/run-isolation/prod/sales",
    "logStreamName": "isolated/dagster/abc",
    "limit": 20,
    "startFromHead": False,
}


@pytest.fixture
def logs() -> Any:
    return boto3.Session("test", "test").client("logs", region_name="us-east-1")


def test_the_page_in_the_console() -> None:
    # As the console writes it: a slash is %2F, encoded once more, with $ for %.
    assert STREAM.url == (
        "https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1#logsV2:"
        "log-groups/log-group/$252Frun-isolation$252Fprod$252Fsales"
        "/log-events/isolated$252Fdagster$252Fabc"
    )


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("eu-west-1", "eu-west-1.console.aws.amazon.com"),
        ("cn-north-1", "console.amazonaws.cn"),
        ("us-gov-west-1", "console.amazonaws-us-gov.com"),
    ],
)
def test_the_console_of_each_partition(region: str, host: str) -> None:
    assert LogStream(region, "group", "name").url.startswith(f"https://{host}/cloudwatch/")


def test_the_last_lines_with_their_times(logs: Any) -> None:
    events = [{"timestamp": 3_723_000, "message": "one"}, {"timestamp": 0, "message": "x" * 600}]
    with Stubber(logs) as stubber:
        stubber.add_response("get_log_events", {"events": events}, ASKED)
        assert STREAM.tail(logs) == ["01:02:03 one", "00:00:00 " + "x" * 500]


def test_a_task_that_never_wrote_has_no_stream(logs: Any) -> None:
    with Stubber(logs) as stubber:
        stubber.add_client_error("get_log_events", "ResourceNotFoundException")
        assert STREAM.tail(logs) == []


def test_other_trouble_is_the_callers(logs: Any) -> None:
    with Stubber(logs) as stubber:
        stubber.add_client_error("get_log_events", "AccessDeniedException")
        with pytest.raises(ClientError):
            STREAM.tail(logs)
