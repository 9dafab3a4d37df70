"""Steps of Dagster's multiprocess executor, forked where the run config names no start method.

Runs in: template, which installs them; run, which asks for them.
"""

from __future__ import annotations

import multiprocessing.context
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import popen_spawn_posix
from typing import Any, Final

import dagster._core.executor.multiprocess
from dagster._core.executor.multiprocess import MultiprocessExecutor

from run_isolation.dagster.patching import SeamError, replaced
from run_isolation.dagster.warm.fork_context import WarmContext, WarmProcess
from run_isolation.dagster.warm.kept_popen import ForkedPopen

METHOD: Final = ForkedPopen.method
"""Name of the start method."""


class StepContext(WarmContext):
    """Steps are below the run's keeper, forked or spawned."""

    def spawn(self, process_object: WarmProcess) -> Any:
        """As Dagster does."""
        return popen_spawn_posix.Popen(process_object)  # type: ignore[no-untyped-call, unused-ignore]


class ForkingExecutor(MultiprocessExecutor):
    """Dagster's own, with another start method where none is named."""

    def __init__(self, *, start_method: str | None = None, **options: Any) -> None:
        super().__init__(start_method=start_method, **options)
        if start_method is None and METHOD in _contexts():
            self._start_method = METHOD


@contextmanager
def installed() -> Iterator[None]:
    """In the template: what runs find.

    Raises:
        SeamError: This version of Dagster or Python is not built as we know it.
    """
    _contexts()
    executor = dagster._core.executor.multiprocess
    with replaced(executor, "MultiprocessExecutor", ForkingExecutor):
        yield


def serve_from(control: socket.socket) -> None:
    """In a run: its steps are asked for at this socket."""
    _contexts()[METHOD] = StepContext(control, _say_spawned)


def _say_spawned(why: str) -> None:
    print(f"Steps are spawned from now on. {why}", flush=True)


def _contexts() -> dict[str, Any]:
    try:
        contexts: dict[str, Any] = multiprocessing.context._concrete_contexts  # type: ignore[attr-defined]
    except AttributeError as error:
        raise SeamError("multiprocessing.context has no _concrete_contexts.") from error
    return contexts
