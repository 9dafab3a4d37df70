"""Copies: what user code forks from a run's process, and has executed no program since.

Runs in: run and step, and what user code forks from them.

A copy has all that Dagster was about to do in its process: the handler of SIGTERM that fails the
step, and the code that follows the op. One that comes back from the op, as the child of a bare
``os.fork()`` does that does not end itself, would go on as a second process of the run, store the
step's success once more and execute the next one again. When that run, or step, is over, a copy
stores nothing at all, be it a line of log.
"""

from __future__ import annotations

import mmap
import os
import signal
import sys
from contextlib import suppress
from functools import wraps
from typing import Any, Final

from dagster import DagsterEvent, DagsterEventType, DagsterInstance

from run_isolation.dagster.patching import SeamError

_HANDLERS: Final = "dagster._utils.interrupts"
"""Where Dagster's handlers of signals are from."""
_FROM_USER_CODE: Final = frozenset(
    {
        DagsterEventType.ASSET_CHECK_EVALUATION,
        DagsterEventType.ASSET_MATERIALIZATION,
        DagsterEventType.ASSET_OBSERVATION,
        DagsterEventType.ENGINE_EVENT,
        DagsterEventType.STEP_EXPECTATION_RESULT,
    }
)
"""What user code may log, in a process of a pool, too. All other events say how the run goes on."""


class _Guarded:
    """The process that speaks for a run, as its copies know it."""

    pid: int | None = None
    run_id: str | None = None
    over: mmap.mmap | None = None
    """One byte, shared with the copies: not 0 when the run, or step, is over."""


def guard(run_id: str) -> None:
    """In a process of a run: copies of it never say how the run, or a step of it, goes on.

    To be called before user code makes one.

    Raises:
        SeamError: This version of Dagster is not built as we know it.
    """
    _Guarded.pid, _Guarded.run_id = os.getpid(), run_id
    _Guarded.over = mmap.mmap(-1, 1)
    original: Any = getattr(DagsterInstance, "handle_new_event", None)
    if original is None:
        raise SeamError("DagsterInstance has no handle_new_event.")
    if hasattr(original, "guards"):
        return

    @wraps(original)
    def handle_new_event(instance: DagsterInstance, event: Any, **options: Any) -> Any:
        if os.getpid() != _Guarded.pid and event.run_id == _Guarded.run_id:
            _end_unless_stored(event.dagster_event)
        return original(instance, event, **options)

    handle_new_event.guards = True  # type: ignore[attr-defined]
    DagsterInstance.handle_new_event = handle_new_event  # type: ignore[assignment,method-assign]


def _end_unless_stored(told: DagsterEvent | None) -> None:
    """Returns where a copy may store an event, or without one a line of log."""
    if _Guarded.over is not None and _Guarded.over[0]:
        _end("has something to log, but its run or step is over. It ends here")
    if told is not None and told.event_type not in _FROM_USER_CODE:
        _end(
            "has come back from the code that forked it. It ends here: run "
            f"{_Guarded.run_id} goes on in process {_Guarded.pid} alone"
        )


def over() -> None:
    """In the guarded process: copies of it store nothing from now on."""
    if _Guarded.over is not None:
        _Guarded.over[0] = 1


def _end(why: str) -> None:
    """Ends this copy. Its exit code is what Python's would be, for whoever waits for it."""
    error = sys.exc_info()[1]
    code = getattr(error, "code", 1) if error is not None else 0
    print(
        f"Process {os.getpid()} is a copy of process {_Guarded.pid} by os.fork() and {why}. "
        "Let the child of os.fork() end by os._exit().",
        file=sys.stderr,
    )
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)


def _forget_handlers() -> None:
    """In a copy: a signal ends it, as it would anywhere else, and is not the run's to handle."""
    if _Guarded.pid is None:
        return
    defaults: dict[signal.Signals, Any] = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
    }
    for number, default in defaults.items():
        if getattr(signal.getsignal(number), "__module__", None) == _HANDLERS:
            signal.signal(number, default)


os.register_at_fork(after_in_child=_forget_handlers)
