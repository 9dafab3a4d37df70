"""Which of a server's threads answer which calls.

A gRPC server in Python answers each call in a thread of one pool; user code of sensors and
schedules is executed there, and may wait for a database for as long as it likes. So calls that are
about runs have threads of their own: those that wait for nothing, and StartRun, which waits for a
process. A version of grpc without ``experimental_thread_pool`` (grpc/_server.py) answers all in one
pool, as Dagster's server does.

Runs in: server.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier
from typing import Any, Final

from grpc_health.v1 import health, health_pb2

from run_isolation.thread_pools import make_steady
from run_isolation.tick_timeouts import TICK_SECONDS

MAX_WORKERS: Final = 32
"""Threads for all other calls, made as they are needed. Python's default, which Dagster takes, is
four and one for each CPU: so many sensors that wait for a database would make the server deaf."""

_PROMPT_THREADS: Final = 4
_START_THREADS: Final = 64
"""Most runs whose first word is waited for at once; made as they are needed."""

_PROMPT_CALLS: Final = (
    "CanCancelExecution",
    "CancelExecution",
    "GetCurrentRuns",
    "GetServerId",
    "Heartbeat",
    "Ping",
    "ShutdownServer",
)

_prompt: Final = ThreadPoolExecutor(_PROMPT_THREADS, thread_name_prefix="prompt-call")
_starts: Final = ThreadPoolExecutor(_START_THREADS, thread_name_prefix="start-run-call")


def give_own_threads(servicer: Any, others: ThreadPoolExecutor) -> None:
    """Has these calls of a servicer answered by threads of their own, some of which are there.

    To be called when nothing is forked from this process any more.

    Args:
        servicer: Dagster's, or one like it.
        others: Answers all other calls.
    """
    for pool in (_prompt, _starts, others):
        make_steady(pool)
    for names, pool in ((_PROMPT_CALLS, _prompt), (("StartRun",), _starts)):
        for name in names:
            answer: Any = partial(getattr(servicer, name))
            answer.experimental_thread_pool = pool
            setattr(servicer, name, answer)
    # Not when they are needed: there may be no thread to be had by then.
    all_there = Barrier(_PROMPT_THREADS)
    for _ in range(_PROMPT_THREADS):
        _prompt.submit(all_there.wait)


class PoolWatch:
    """Notices a pool none of whose threads has come to an end with a call for long.

    Args:
        pool: The pool.
        seconds: How long. A tick's caller has given up by then.
    """

    def __init__(self, pool: ThreadPoolExecutor, seconds: float = TICK_SECONDS) -> None:
        self._pool = pool
        self._seconds = seconds
        self._asked_at: float | None = None

    @property
    def is_stuck(self) -> bool:
        """Whether it is."""
        asked_at = self._asked_at
        return asked_at is not None and time.monotonic() - asked_at > self._seconds

    def look(self) -> None:
        """Asks it for nothing, and again once that is answered."""
        if self._asked_at is None:
            self._asked_at = time.monotonic()
            self._pool.submit(self._answered)

    def _answered(self) -> None:
        self._asked_at = None


watches: Final[list[PoolWatch]] = []
"""Of this process's server, whose health tells of them."""


class PromptHealth(health.HealthServicer):  # type: ignore[misc, unused-ignore]  # has no types
    """gRPC's own, answered at once: not healthy while a pool is stuck."""

    def Check(self, request: Any, context: Any) -> Any:  # noqa: N802  # gRPC's name
        """Whether a service serves."""
        if any(watch.is_stuck for watch in watches):
            stuck = health_pb2.HealthCheckResponse.NOT_SERVING
            return health_pb2.HealthCheckResponse(status=stuck)
        return super().Check(request, context)

    Check.experimental_thread_pool = _prompt  # type: ignore[attr-defined]
