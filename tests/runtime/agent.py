"""The endpoint in which ECS's agent answers a container about the protection of its task."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Condition, Thread
from typing import Any

REFUSAL = {"failure": {"Reason": "DEPLOYMENT_BLOCKED", "Detail": "too many", "Arn": "arn:task/1"}}
ERROR = {"error": {"Code": "ThrottlingException", "Message": "slow down", "Arn": "arn:task/1"}}

CUT_SHORT = '{"protection":'


@dataclass
class Agent:
    """Does what it is asked, unless there is trouble: the next answers, with their HTTP status."""

    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    trouble: list[tuple[int, object]] = field(default_factory=list)
    _changed: Condition = field(default_factory=Condition)

    @property
    def environment(self) -> dict[str, str]:
        return {"ECS_AGENT_URI": self.url}

    def wait_for_calls(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.asked) >= count, timeout=10)

    def answer(self, asked: dict[str, Any]) -> tuple[int, object]:
        with self._changed:
            self.asked.append(asked)
            self._changed.notify_all()
        if self.trouble:
            return self.trouble.pop(0)
        return 200, {"protection": {"ProtectionEnabled": asked["ProtectionEnabled"]}}


@contextmanager
def agent() -> Iterator[Agent]:
    made = Agent()

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            assert self.path == "/api/1/task-protection/v1/state"
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, answer = made.answer(asked)
            body = answer if isinstance(answer, str) else json.dumps(answer)
            self.send_response(status)
            if body == CUT_SHORT:
                self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        made.url = f"http://127.0.0.1:{server.server_port}/api/1"
        yield made
        server.shutdown()
