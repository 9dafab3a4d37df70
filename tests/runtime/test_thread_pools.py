"""A pool that can have no more threads does its work with those that it has, and says nothing."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import grpc
import pytest

from run_isolation.thread_pools import make_steady, steady_pool

SECONDS = 10


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> Event:
    """While it is set no pool gets a thread."""
    start, none = threading.Thread.start, Event()

    def refused(thread: threading.Thread) -> None:
        if none.is_set() and thread.name.startswith("pool"):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refused)
    return none


def test_work_waits_for_a_thread_that_is_there(no_threads: Event) -> None:
    go_on = Event()
    with steady_pool(4, "pool") as pool:
        no_threads.set()
        first, second = pool.submit(go_on.wait, SECONDS), pool.submit(int)
        assert not second.done()
        go_on.set()
        assert (first.result(SECONDS), second.result(SECONDS)) == (True, 0)


def test_a_grpc_server_that_got_no_thread_once_is_not_deaf(no_threads: Event) -> None:
    go_on, waits = Event(), Event()

    class Waits(grpc.GenericRpcHandler):  # type: ignore[misc, unused-ignore]  # no types
        def service(self, details: Any) -> Any:
            return grpc.unary_unary_rpc_method_handler(self.answer)

        def answer(self, request: bytes, context: Any) -> bytes:
            waits.set()
            go_on.wait(SECONDS)
            return request

    pool = ThreadPoolExecutor(4, thread_name_prefix="pool")
    make_steady(pool)
    server = grpc.server(pool, handlers=[Waits()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/any/call")
        first = call.future(b"first")
        assert waits.wait(SECONDS)
        no_threads.set()
        second = call.future(b"second")
        with pytest.raises(grpc.FutureTimeoutError):
            second.result(0.2)
        no_threads.clear()
        go_on.set()
        assert [first.result(SECONDS), second.result(SECONDS)] == [b"first", b"second"]
        assert call(b"third", timeout=SECONDS) == b"third"
    server.stop(None)
