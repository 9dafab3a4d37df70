"""A container's output as CloudWatch Logs, by the options of the awslogs driver."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import Any

from moto.logs.exceptions import ResourceNotFoundException
from moto.logs.models import logs_backends

from localaws.ecs.definition import ContainerSpec
from localaws.ecs.execution import Execution, told
from localaws.iam.denials import DeniedError

# moto has no lock around its log streams.
_LOCK = threading.Lock()


class LogConfigurationError(Exception):
    """The container's log configuration cannot be used; the task does not start."""


class LogStream:
    """One container's stream, `<prefix>/<container>/<task id>`.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/specify-log-config.html

    Args:
        account_id: The account.
        spec: The container.
        task_id: The last part of the task's ARN.
        execution: The task's execution role, by which the driver writes.

    Raises:
        LogConfigurationError: The driver is not awslogs, its log group does not exist, or the role
            may not make the stream.
    """

    def __init__(
        self, account_id: str, spec: ContainerSpec, task_id: str, execution: Execution
    ) -> None:
        self._rest = b""
        self._dropped = False
        self._backend: Any = None
        if spec.log_driver is None:
            return
        if spec.log_driver != "awslogs":
            raise LogConfigurationError(
                f"localaws has no log driver {spec.log_driver!r}; only awslogs is supported"
            )
        options = spec.log_options
        try:
            self._group = options["awslogs-group"]
            region = options["awslogs-region"]
            prefix = options["awslogs-stream-prefix"]
        except KeyError as missing:
            raise LogConfigurationError(f"log option {missing} is required on Fargate") from None
        self._stream = f"{prefix}/{spec.name}/{task_id}"
        self._check(execution, region)
        self._backend = logs_backends[account_id][region]
        with _LOCK:
            if self._group not in self._backend.groups:
                if options.get("awslogs-create-group") != "true":
                    raise LogConfigurationError(
                        "failed to create Cloudwatch log stream: ResourceNotFoundException: "
                        f"The specified log group does not exist: {self._group}"
                    )
                self._backend.create_log_group(self._group, {})
            self._backend.ensure_log_stream(self._group, self._stream)

    def _check(self, execution: Execution, region: str) -> None:
        where = {"logGroupName": self._group, "logStreamName": self._stream}
        try:
            execution.ask("logs", "CreateLogStream", region, **where)
        except DeniedError as denial:
            raise LogConfigurationError(
                "failed to validate logger args: create stream has been retried 1 times: failed to "
                f"create Cloudwatch log stream: {told(denial)} : exit status 1"
            ) from denial
        try:
            execution.ask("logs", "PutLogEvents", region, **where)
        except DeniedError:
            # The driver says so to nobody.
            self._dropped = True

    def write(self, chunk: bytes) -> None:
        """Add output; each full line becomes an event."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        self._put(lines)

    def close(self) -> None:
        """Add what has no line end."""
        self._put([self._rest])
        self._rest = b""

    def _put(self, lines: list[bytes]) -> None:
        now = int(time.time() * 1000)
        events = [
            {"timestamp": now, "message": text}
            for line in lines
            if (
                text := line.decode(errors="replace").rstrip("\r")
            )  # CloudWatch has no empty events
        ]
        if self._backend is None or self._dropped or not events:
            return
        # The group may be deleted while the task runs, also just now; its output is lost then.
        with _LOCK, suppress(ResourceNotFoundException, KeyError):
            self._backend.ensure_log_stream(self._group, self._stream)
            self._backend.put_log_events(self._group, self._stream, events)
