"""An HTTP proxy before DynamoDB that loses, delays and repeats requests and answers."""

from __future__ import annotations

import asyncio
import re
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from typing import Any, Final, TypeVar

_LENGTH: Final = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_OPERATION: Final = re.compile(rb"(?i)\r\nx-amz-target: *DynamoDB_20120810\.(\w+)")
_BROKEN: Final = (OSError, asyncio.IncompleteReadError)

T = TypeVar("T")


class Fault(StrEnum):
    """What befalls one request. A lost one shows to the caller as a connection that breaks."""

    NONE = "none"
    LOSE_REQUEST = "lose the request"
    LOSE_ANSWER = "lose the answer"
    HOLD_BACK = "break the connection; the request arrives later"
    REPEAT = "answer; the request arrives once more later"
    SLOW_REQUEST = "the request takes long"
    SLOW_ANSWER = "the answer takes long"


class Proxy:
    """One proxy.

    Args:
        target_port: Where DynamoDB listens on 127.0.0.1.
        decide: Which fault befalls a request of an operation, such as ``UpdateItem``. The proxy
            stands still meanwhile.
        late_seconds: How late requests arrive that are held back or repeated. None: when
            `deliver_late` says so.
        slow_seconds: How long slow ones take.
    """

    def __init__(
        self,
        target_port: int,
        decide: Callable[[str], Fault] = lambda operation: Fault.NONE,
        late_seconds: Callable[[], float] | None = None,
        slow_seconds: Callable[[], float] = lambda: 0,
    ) -> None:
        self.port = 0
        self.late: deque[bytes] = deque()
        self._target_port = target_port
        self.decide = decide
        self._late_seconds = late_seconds
        self._slow_seconds = slow_seconds
        self._tasks: set[asyncio.Task[Any] | None] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def endpoint_url(self) -> str:
        """What the AWS SDK is told."""
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, port: int = 0) -> asyncio.Server:
        """Begins to listen."""
        server = await asyncio.start_server(self._serve_client, "127.0.0.1", port, limit=2**20)
        self.port = server.sockets[0].getsockname()[1]
        return server

    @contextmanager
    def in_background(self) -> Iterator[Proxy]:
        """Serves in a thread of its own."""
        self._loop = asyncio.new_event_loop()
        thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        thread.start()
        try:
            self._run(self.serve())
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()

    def deliver_late(self) -> bool:
        """Lets the oldest request that is held back arrive. False where there is none."""
        if not self.late:
            return False
        self._run(self._ask(self.late.popleft()))
        return True

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=60)

    async def _serve_client(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with self._kept_alive(), suppress(*_BROKEN):
            while await self._serve_request(reader, writer):
                pass
        writer.close()

    @contextmanager
    def _kept_alive(self) -> Iterator[None]:
        """The event loop has but weak references to its tasks."""
        task = asyncio.current_task()
        self._tasks.add(task)
        try:
            yield
        finally:
            self._tasks.discard(task)

    async def _serve_request(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Serves one request; False where the connection is to break."""
        head, request = await _read_message(reader)
        operation = _OPERATION.search(head)
        fault = self.decide(operation[1].decode() if operation else "")
        if fault is Fault.LOSE_REQUEST:
            return False
        if fault is Fault.HOLD_BACK:
            self._keep(request)
            return False
        if fault is Fault.SLOW_REQUEST:
            await asyncio.sleep(self._slow_seconds())
        answer = await self._ask(request)
        if fault is Fault.LOSE_ANSWER:
            return False
        if fault is Fault.REPEAT:
            self._keep(request)
        if fault is Fault.SLOW_ANSWER:
            await asyncio.sleep(self._slow_seconds())
        writer.write(answer)
        await writer.drain()
        return True

    def _keep(self, request: bytes) -> None:
        if self._late_seconds is None:
            self.late.append(request)
            return
        task = asyncio.create_task(self._arrive(request, self._late_seconds()))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _arrive(self, request: bytes, seconds: float) -> None:
        await asyncio.sleep(seconds)
        with suppress(*_BROKEN):
            await self._ask(request)

    async def _ask(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        try:
            writer.write(request)
            await writer.drain()
            _, answer = await _read_message(reader)
        finally:
            writer.close()
        return answer


async def _read_message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Head and whole of an HTTP request or answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = _LENGTH.search(head)
    body = await reader.readexactly(int(length[1])) if length else b""
    return head, head + body
