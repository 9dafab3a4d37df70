"""The account's record of API calls, and how a call is told from its HTTP request."""

from __future__ import annotations

import io
import json
import re
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

#: The Credential of an AWS signature: access key, date, region, service.
#: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
_CREDENTIAL = re.compile(r"Credential=([^/,]+)/\d+/([^/]+)/([^/]+)/aws4_request")
#: The same in the query of a presigned URL.
#: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
_PRESIGNED = re.compile(r"X-Amz-Credential=([^/,&]+)/\d+/([^/]+)/([^/]+)/aws4_request")

#: How many calls are remembered.
_CAPACITY = 100_000


@dataclass(frozen=True)
class Call:
    """One API call.

    Attributes:
        service: As it signs its requests: `ecs`, `dynamodb`, `s3` ...
        operation: The API's name, such as `RunTask`; method and path for S3, which has no name.
        params: The parameters, as they were sent.
        caller: The caller's session (of a task, its id) or else its access key id, so that a test
            can tell its actors apart.
        region: The region that it is signed for.
        account: The caller's account, whose resources it is about.
    """

    service: str
    operation: str
    params: Mapping[str, Any] = field(default_factory=dict)
    caller: str = ""
    region: str = ""
    account: str = ""


def parse(environ: dict[str, Any]) -> Call:
    """Return the call of a WSGI request, whose body stays readable."""
    found = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", "")) or _PRESIGNED.search(
        unquote(environ.get("QUERY_STRING", ""))
    )
    caller, region, service = found.groups() if found else ("", "", "")
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        body = _read(environ)
        params = json.loads(body) if body else {}
        return Call(service, target.rsplit(".", 1)[-1], params, caller, region)
    if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        params = dict(parse_qsl(_read(environ).decode()))
        return Call(service, params.pop("Action", ""), params, caller, region)
    path = f"{environ['REQUEST_METHOD']} {environ.get('PATH_INFO', '/')}"
    return Call(service, path, {}, caller, region)


def _read(environ: dict[str, Any]) -> bytes:
    body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    return body


class Calls:
    """The calls in their order of arrival. Thread-safe."""

    def __init__(self) -> None:
        self._calls: deque[Call] = deque(maxlen=_CAPACITY)
        self._lock = threading.Lock()

    def add(self, call: Call) -> None:
        """Record a call."""
        with self._lock:
            self._calls.append(call)

    def all(self, service: str | None = None, caller: str | None = None) -> list[Call]:
        """Return the calls, or those of one service or caller."""
        with self._lock:
            return [
                call
                for call in self._calls
                if service in (None, call.service) and caller in (None, call.caller)
            ]

    def clear(self) -> None:
        """Forget all calls."""
        with self._lock:
            self._calls.clear()
