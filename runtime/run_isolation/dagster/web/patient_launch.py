"""A launch from the page waits a moment where nobody answers to the code location's name.

Before there is a run Dagster's page asks the code location for its execution plan, once; where that
fails, so does the launch, with HTTP 500. But a client may hold the address of a container that was
just replaced for as long as the name's TTL says. Such a call ends after `channels.CONNECT_SECONDS`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import grpc
from dagster._core.errors import DagsterUserCodeUnreachableError
from tenacity import retry, retry_if_exception, stop_after_delay, wait_fixed

PATIENCE_SECONDS: Final = 15
"""The TTL of the names is 10 seconds (infra/discovery.py)."""

PAUSE_SECONDS: Final = 0.5


def patient(call: Callable[..., Any]) -> Callable[..., Any]:
    """The same call, a read, made again while nobody answers.

    Args:
        call: A method of Dagster's client of a code location.
    """
    again = retry(
        retry=retry_if_exception(is_unanswered),
        stop=stop_after_delay(PATIENCE_SECONDS),
        wait=wait_fixed(PAUSE_SECONDS),
        reraise=True,
    )
    return again(call)


def is_unanswered(error: BaseException) -> bool:
    """Whether no server was reached.

    One that is slow has been, as its kernel answers for it; unless it does not greet within gRPC's
    20 seconds, which are more than there is patience for.
    """
    cause = error.__cause__
    return (
        isinstance(error, DagsterUserCodeUnreachableError)
        and isinstance(cause, grpc.RpcError)
        and cause.code() is grpc.StatusCode.UNAVAILABLE
    )
