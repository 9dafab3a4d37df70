"""The public port while it closes: a tick goes on, and a process that ends does not wait for it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import grpc
import pytest

from run_isolation.dagster.standing import listeners
from run_isolation.dagster.standing.listeners import PublicListener
from tests.waiting import PATIENCE_SECONDS

ANSWER = b"ticked"


class Server:
    """In place of Dagster's, with a tick that takes as long as the test says."""

    def __init__(self) -> None:
        self.asked, self.may_end = Event(), Event()
        self.server = grpc.server(ThreadPoolExecutor(1), handlers=[self])
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self._health_servicer: Any = self

    def set(self, *_: object) -> None:
        """For health checks."""

    def service(self, _: object) -> object:
        def tick(*_: object) -> bytes:
            self.asked.set()
            self.may_end.wait(PATIENCE_SECONDS)
            return ANSWER

        return grpc.unary_unary_rpc_method_handler(tick)

    def tick(self) -> grpc.Future:
        """Ask for one, and return when it has begun."""
        channel = grpc.insecure_channel(f"127.0.0.1:{self.port}")
        answer = channel.unary_unary("/a/b").future(b"")
        assert self.asked.wait(PATIENCE_SECONDS)
        return answer


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """One whose process has no time to end in."""
    server = Server()
    monkeypatch.setattr(listeners, "DagsterGrpcServer", lambda: server)
    monkeypatch.setenv("DAGSTER_GRPC_SHUTDOWN_GRACE_PERIOD", "0")
    yield server
    server.may_end.set()
    server.server.stop(None)


@pytest.fixture
def listener(server: Server) -> PublicListener:
    listener = PublicListener({})
    listener.open()
    return listener


def test_a_tick_goes_on_when_the_task_has_been_replaced(
    server: Server, listener: PublicListener
) -> None:
    tick = server.tick()
    listener.close()
    # As soon as it is closed for good.
    with pytest.raises(grpc.FutureTimeoutError):
        tick.result(1)
    server.may_end.set()
    assert tick.result(PATIENCE_SECONDS) == ANSWER
    listener.end()


@pytest.mark.parametrize("closed_before", [True, False])
def test_a_process_that_ends_has_dagsters_own_grace_period(
    server: Server, listener: PublicListener, closed_before: bool
) -> None:
    tick = server.tick()
    if closed_before:
        listener.close()
    listener.end()
    with pytest.raises(grpc.RpcError) as raised:
        tick.result(PATIENCE_SECONDS)
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
