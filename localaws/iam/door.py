"""From an HTTP request to a caller that may make the call, or the error to answer."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

from localaws.calls import Call
from localaws.faults import Error
from localaws.iam import denials
from localaws.iam.denials import DeniedError, UnknownOperationError
from localaws.iam.guard import Guard
from localaws.iam.identities import InvalidTokenError
from localaws.iam.needs.ask import Ask

#: Headers of S3's requests that say what they need.
_HEADERS = (
    "x-amz-copy-source",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
)
#: Signed requests without a region, of global services, are this one's.
_GLOBAL = "us-east-1"


def enter(guard: Guard, call: Call, environ: dict[str, Any]) -> tuple[Call, Error | None]:
    """Return the call with its caller's name, and an error where it must not be made."""
    if not call.service and " /" in call.operation:
        # Only S3 is asked by people who sign nothing.
        call = replace(call, service="s3")
    try:
        who = guard.identities.of(call.caller, _token(environ))
    except InvalidTokenError:
        return call, denials.unidentified(call.service, signed=True)
    call = replace(call, account=who.account or guard.account_id)
    if who.role:
        call = replace(call, caller=who.name)
    if not who.account and call.service != "s3":
        return call, denials.unidentified(call.service, signed=False)
    try:
        guard.admit(who, _ask(call, environ), environ.get("REMOTE_ADDR", ""))
    except (DeniedError, UnknownOperationError) as denial:
        return call, denials.answer(call.service, denial)
    return call, guard.quotas.throttle(call.service, call.operation, call.params)


def _token(environ: dict[str, Any]) -> str:
    header: str = environ.get("HTTP_X_AMZ_SECURITY_TOKEN", "")
    query: str = environ.get("QUERY_STRING", "")
    if header or "X-Amz-Security-Token" not in query:
        return header
    return dict(parse_qsl(query))["X-Amz-Security-Token"]


def _ask(call: Call, environ: dict[str, Any]) -> Ask:
    ask = Ask(call.service, call.operation, call.params, call.account, call.region or _GLOBAL)
    if call.service != "s3":
        return ask
    query = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
    given = {name: environ.get(f"HTTP_{name.upper().replace('-', '_')}") for name in _HEADERS}
    return replace(
        ask,
        query=query,
        headers={name: value for name, value in given.items() if value},
        body=_body(environ) if "delete" in query else b"",
    )


def _body(environ: dict[str, Any]) -> bytes:
    """Read the body, which stays readable."""
    body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    return body
