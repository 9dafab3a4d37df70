"""The account's HTTP endpoint: moto behind the record of calls, the faults and the lock."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final
from xml.sax.saxutils import escape

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from pydantic import ValidationError
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from localaws import calls, dynamodb, in_use
from localaws.calls import Call, Calls
from localaws.conditions import Conditions
from localaws.ecs import protection
from localaws.ecs.metadata import Metadata
from localaws.faults import Delay, Error, Faults, LostRequest, LostResponse
from localaws.iam import door, identities
from localaws.iam.decisions import Decisions
from localaws.iam.guard import Guard

#: Header of the root's token, as AWS's requests have it.
ROOT_HEADER: Final = "X-Amz-Security-Token"

_StartResponse = Callable[..., Any]


_LOCKS: Final[Mapping[str, contextlib.AbstractContextManager[object]]] = {
    # moto goes through all roles, groups and so on, and fails when another thread adds one.
    "iam": threading.Lock(),
    "ec2": threading.Lock(),
}
"""Held while a request to a service is carried out."""


class _Handler(MotoRequestHandler):
    """Logs no requests."""

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - the base's name
        if type == "error":
            super().log(type, message, *args)


class Server:
    """Serves an account on 127.0.0.1, each request in a thread of its own.

    Args:
        account_id: The account of who signs nothing.
        port: The port, 0 for a free one.
        calls: Where each API call is recorded.
        faults: What goes wrong.
        metadata: The answers to containers.
        guard: Who may do what.
        decisions: Its record.
        conditions: How unkind the account is.

    Raises:
        OSError: The port is taken.
    """

    def __init__(
        self,
        account_id: str,
        port: int,
        calls: Calls,
        faults: Faults,
        metadata: Metadata,
        guard: Guard,
        decisions: Decisions,
        conditions: Conditions,
    ) -> None:
        self._account_id = account_id
        self._calls = calls
        self._faults = faults
        self._metadata = metadata
        self._guard = guard
        self._decisions = decisions
        self._conditions = conditions
        self._moto = DomainDispatcherApplication(create_backend_app)
        # werkzeug would end the whole process where the port is taken.
        with socket.create_server(("127.0.0.1", port)) as listener:
            self._server = make_server(
                "127.0.0.1",
                port,
                self._answer,
                threaded=True,
                request_handler=_Handler,
                fd=listener.fileno(),
            )
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="aws", daemon=True
        )

    @property
    def endpoint_url(self) -> str:
        """Where it is served."""
        return f"http://127.0.0.1:{self._server.port}"

    def start(self) -> None:
        """Serve in a thread."""
        self._thread.start()

    def close(self) -> None:
        """Serve no longer."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, environ: dict[str, Any], start_response: _StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path.startswith("/_localaws/"):
            return self._administer(Request(environ))(environ, start_response)
        if path.startswith("/v4/"):
            answer = self._metadata.answer(path)
            return _json(answer, 404 if answer is None else 200)(environ, start_response)
        if path.startswith("/api/"):
            return self._agent(Request(environ))(environ, start_response)
        if path.startswith(identities.PATH):
            keys = self._guard.identities.serve(path)
            return _json(keys, 404 if keys is None else 200)(environ, start_response)
        call, denial = door.enter(self._guard, calls.parse(environ), environ)
        self._calls.add(call)
        if denial is not None:
            return _error(call.service, denial)(environ, start_response)
        return self._call(call, environ, start_response)

    def _call(
        self, call: Call, environ: dict[str, Any], start_response: _StartResponse
    ) -> Iterable[bytes]:
        about = (call.params, call.service, call.operation)
        if delay := self._faults.take(Delay, *about):
            time.sleep(delay.seconds)
        if self._faults.take(LostRequest, *about):
            _break_connection(environ)
        if error := self._faults.take(Error, *about):
            return _error(call.service, error)(environ, start_response)
        account_id = call.account or self._account_id
        if error := in_use.refusal(call, account_id):
            return _error(call.service, error)(environ, start_response)
        self._guard.past.before(call.service, call.operation, account_id)
        # moto reads the account from here: moto/core/responses.py, get_current_account.
        environ["HTTP_X_MOTO_ACCOUNT_ID"] = account_id
        lock = dynamodb.LOCK if call.service == "dynamodb" else _LOCKS.get(call.service)
        with lock or contextlib.nullcontext():
            body: Iterable[bytes] = self._moto(environ, start_response)
        if self._faults.take(LostResponse, *about):
            _break_connection(environ)
        return body

    def _agent(self, request: Request) -> Response:
        """Answer `$ECS_AGENT_URI`."""
        _, _, runtime_id, *rest = request.path.split("/")
        found = self._metadata.find(runtime_id)
        if found is None or rest != ["task-protection", "v1", "state"]:
            return _json({"error": {"Code": "ResourceNotFoundException"}}, 404)
        asked = request.get_json(force=True) if request.method == "PUT" else None
        return _json(*protection.answer_agent(found[0], asked, self._guard))

    def _administer(self, request: Request) -> Response:
        """Answer root about `/_localaws/faults[/<id>]`, `calls`, `decisions` ...; nobody else.

        No task may give itself a session, see others' calls or take faults away.
        """
        if not self._guard.identities.is_root_token(request.headers.get(ROOT_HEADER, "")):
            error = (
                f"/_localaws/ is for the account's root: send the AWS_SESSION_TOKEN of its"
                f" environment (LocalAccount.environment(), ready.json) as the header {ROOT_HEADER}"
            )
            return _json({"error": error}, 403)
        match request.method, request.path.strip("/").split("/")[1:]:
            case "GET", ["faults"]:
                return _json(self._faults.describe())
            case "POST", ["faults"]:
                try:
                    return _json(self._faults.add_json(request.get_data()).describe(), 201)
                except ValidationError as error:
                    return _invalid(error)
            case "PATCH", ["conditions"]:
                try:
                    self._conditions.change(request.get_data())
                except ValidationError as error:
                    return _invalid(error)
                return _json(self._conditions.model_dump())
            case "DELETE", ["faults"]:
                self._faults.clear()
            case "DELETE", ["faults", fault_id]:
                self._faults.remove(fault_id)
            case "GET", ["calls"]:
                return _json([vars(call) for call in self._calls.all()])
            case "DELETE", ["calls"]:
                self._calls.clear()
            case "GET", ["decisions"]:
                return _json([one.describe() for one in self._decisions.all()])
            case "DELETE", ["decisions"]:
                self._decisions.clear()
            case "POST", ["sessions"]:
                asked = request.get_json(force=True)
                session = self._guard.identities.open(asked["role"], asked["name"])
                return _json(self._guard.identities.environment(session, self.endpoint_url), 201)
            case _:
                known = "faults, calls, decisions, sessions and conditions"
                return _json({"error": f"localaws has {known} below /_localaws/"}, 404)
        return Response(status=204)


def _invalid(error: ValidationError) -> Response:
    return _json({"errors": error.errors(include_url=False, include_context=False)}, 400)


def _json(content: Any, status: int = 200) -> Response:
    return Response(json.dumps(content, default=str), status, content_type="application/json")


def _break_connection(environ: dict[str, Any]) -> None:
    """End the client's connection without an answer."""
    connection: socket.socket = environ["werkzeug.socket"]
    # Not closed: werkzeug still holds files of it, and would wait for the next request on it.
    connection.shutdown(socket.SHUT_RDWR)
    raise ConnectionResetError("the connection was broken on purpose")


def _error(service: str, error: Error) -> Response:
    """Return an error in the service's protocol."""
    if service in ("iam", "sts", "ec2", "s3"):
        message = escape(error.message)
        text = f"<Error><Code>{error.code}</Code><Message>{message}</Message></Error>"
        if service == "ec2":
            text = f"<Response><Errors>{text}</Errors><RequestID>0</RequestID></Response>"
        elif service != "s3":
            text = f"<ErrorResponse>{text}<RequestId>0</RequestId></ErrorResponse>"
        return Response(text, error.status, content_type="text/xml")
    body = {"__type": error.code, "message": error.message, **error.members}
    return Response(json.dumps(body), error.status, content_type="application/x-amz-json-1.1")
