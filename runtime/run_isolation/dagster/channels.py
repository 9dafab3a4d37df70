"""gRPC channels that give up soon where nobody is, and wait for a server that is slow.

The address of a task that has ended swallows packets: nobody is there to refuse them. gRPC waits
20 seconds for a connection (https://grpc.github.io/grpc/core/group__grpc__arg__keys.html,
``grpc.min_reconnect_backoff_ms``), longer than most calls may take, so that they end as those of a
slow server do, and nobody looks for another one. Less of these 20 seconds would be no answer: they
include the server's greeting, and one that gets no CPU for a while greets late. But its kernel
takes the connection at once, so it is the kernel of the client that is given less time.
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
    """What a channel is made with.

    On Linux gRPC gives the timeout of its keepalive to the kernel as well, as ``TCP_USER_TIMEOUT``
    (https://github.com/grpc/proposal/blob/master/A18-tcp-user-timeout.md). From Linux 5.4 on it
    counts for a connection's first packet too, whatever tcp(7) says (``tcp_write_timeout`` in
    https://github.com/torvalds/linux/blob/v5.4/net/ipv4/tcp_timer.c). The keepalive itself is not
    wanted: its interval is 24 days, the longest that does not switch both off.

    What a connection has sent has as long to be taken in. A server's kernel takes in 64 KiB and
    more for a server that gets no CPU; only a call whose arguments are larger does not wait for it.
    """
    return [
        ("grpc.keepalive_timeout_ms", int(CONNECT_SECONDS * 1000)),
        ("grpc.keepalive_time_ms", 2**31 - 2),
    ]


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
