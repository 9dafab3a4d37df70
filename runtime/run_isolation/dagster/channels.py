"""gRPC channels that give up soon where nobody is.

The address of a task that has ended swallows packets: nobody is there to refuse them. gRPC waits
20 seconds for a connection (https://grpc.github.io/grpc/core/group__grpc__arg__keys.html,
``grpc.min_reconnect_backoff_ms``), longer than most calls may take, so that they end as those of a
slow server do, and nobody looks for another one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import grpc
import grpc.aio
from dagster._grpc.client import DagsterGrpcClient
from dagster._grpc.utils import max_rx_bytes, max_send_bytes

from run_isolation.dagster.patching import replaced

CONNECT_SECONDS: Final = 3
"""For a connection within one VPC. A first packet that is lost is sent again after one second."""


def options() -> list[tuple[str, int]]:
    """What a channel is made with."""
    return [("grpc.min_reconnect_backoff_ms", int(CONNECT_SECONDS * 1000))]


@contextmanager
def connecting_soon() -> Iterator[None]:
    """Lets Dagster's clients of code locations give up soon, too."""
    with (
        replaced(DagsterGrpcClient, "_channel", lambda client: _channel(grpc, client)),
        replaced(DagsterGrpcClient, "_async_channel", lambda client: _channel(grpc.aio, client)),
    ):
        yield


def _channel(api: Any, client: Any) -> Any:
    """The channel that Dagster's client makes, by ``grpc`` or ``grpc.aio``."""
    settings = {
        "options": [
            ("grpc.max_receive_message_length", max_rx_bytes()),
            ("grpc.max_send_message_length", max_send_bytes()),
            *options(),
        ],
        "compression": grpc.Compression.Gzip,
    }
    if client._use_ssl:
        return api.secure_channel(client._server_address, client._ssl_creds, **settings)
    return api.insecure_channel(client._server_address, **settings)
