"""A proxy before DynamoDB that counts calls, learns their request units and loses answers.

What libraries do is read on the wire, so that they run as they are.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import urlsplit

_WRITES: Final = {"PutItem", "UpdateItem", "DeleteItem"}
_COUNTED: Final = {*_WRITES, "GetItem", "BatchGetItem", "Query", "Scan"}
_OWN_HEADERS: Final = {"connection", "content-length", "host", "transfer-encoding"}


@dataclass(frozen=True)
class Call:
    """One request as it came over the wire, each retry for itself."""

    operation: str
    units: float
    """Read and write request units."""


class Wire:
    """What has gone over the wire, and what is to be lost."""

    def __init__(self, target: str) -> None:
        self.endpoint_url = ""
        self.calls: list[Call] = []
        self._target = urlsplit(target).netloc
        self._answers_to_lose = 0
        self._lock = threading.Lock()
        self._keys: dict[str, list[str]] = {}

    def lose_answers_of_writes(self, times: int) -> None:
        """From now on: so many writes are carried out, and their answers lost."""
        with self._lock:
            self._answers_to_lose = times

    def take_loss(self, operation: str) -> bool:
        """Whether this call's answer is to be lost."""
        with self._lock:
            lost = operation in _WRITES and self._answers_to_lose > 0
            self._answers_to_lose -= lost
        return lost

    def forward(self, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Carries out one request and notes what it cost."""
        operation = headers["X-Amz-Target"].rpartition(".")[2]
        request = json.loads(body)
        if operation in _COUNTED:
            request["ReturnConsumedCapacity"] = "TOTAL"
        status, answer_headers, answer = self._send(headers, request)
        if operation in _COUNTED:
            units = self._units(headers, operation, request, status, json.loads(answer))
            with self._lock:
                self.calls.append(Call(operation, units))
        return status, answer_headers, answer

    def _send(self, headers: dict[str, str], request: Any) -> tuple[int, dict[str, str], bytes]:
        connection = HTTPConnection(self._target, timeout=30)
        try:
            connection.request("POST", "/", json.dumps(request).encode(), headers)
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        finally:
            connection.close()

    def _units(
        self, headers: dict[str, str], operation: str, request: Any, status: int, answer: Any
    ) -> float:
        if status == 200:
            consumed = answer["ConsumedCapacity"]
            parts = consumed if isinstance(consumed, list) else [consumed]
            return float(sum(part["CapacityUnits"] for part in parts))
        if operation in _WRITES and "ConditionalCheckFailed" in answer["__type"]:
            return self._refused_units(headers, request)
        return 0.0

    def _refused_units(self, headers: dict[str, str], request: Any) -> float:
        """A refused write costs as one of the same item, at least 1, but its answer doesn't say so.

        https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/WorkingWithItems.html#WorkingWithItems.ConditionalUpdate
        So what a write costs that changes nothing of the item is asked for.
        """
        table = request["TableName"]
        key = request.get("Key") or {
            name: request["Item"][name] for name in self._key_names(headers, table)
        }
        subject = {"TableName": table, "Key": key, "ReturnConsumedCapacity": "TOTAL"}
        if "Item" not in self._ask(headers, "GetItem", {**subject, "ConsistentRead": True}):
            return 1.0
        nothing = {
            "UpdateExpression": "REMOVE #nothing",
            "ExpressionAttributeNames": {"#nothing": "bench.nothing"},
        }
        answer = self._ask(headers, "UpdateItem", {**subject, **nothing})
        return float(answer["ConsumedCapacity"]["CapacityUnits"])

    def _key_names(self, headers: dict[str, str], table: str) -> list[str]:
        if table not in self._keys:
            schema = self._ask(headers, "DescribeTable", {"TableName": table})["Table"]["KeySchema"]
            self._keys[table] = [part["AttributeName"] for part in schema]
        return self._keys[table]

    def _ask(self, headers: dict[str, str], operation: str, request: Any) -> Any:
        target = f"DynamoDB_20120810.{operation}"
        return json.loads(self._send({**headers, "X-Amz-Target": target}, request)[2])


@contextmanager
def wire_to(target: str) -> Iterator[Wire]:
    """A proxy before the DynamoDB at ``target``, on a free port of this machine."""
    wire = Wire(target)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:  # the base class's name
            """Forwards the request, or its effect alone."""
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {k: v for k, v in self.headers.items() if k.lower() not in _OWN_HEADERS}
            status, answer_headers, answer = wire.forward(headers, body)
            if wire.take_loss(headers["X-Amz-Target"].rpartition(".")[2]):
                self.close_connection = True
                return
            self.send_response_only(status)
            for name, value in answer_headers.items():
                if name.lower() not in _OWN_HEADERS:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # same
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        wire.endpoint_url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield wire
        finally:
            server.shutdown()
            thread.join()
