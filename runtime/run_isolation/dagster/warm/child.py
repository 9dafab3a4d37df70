"""Makes a forked process one like those that Dagster spawns, and lets it live.

Runs in: run and step.
"""

from __future__ import annotations

import atexit
import gc
import logging
import mmap
import os
import pickle
import socket
import struct
import sys
import tempfile
import weakref
from multiprocessing import process
from typing import Any, Final, NoReturn

from run_isolation.dagster.processes import linux
from run_isolation.dagster.warm import channel, fork_context, steps

AT_END: Final = struct.Struct("Q")
"""What a run says at its end: bytes of memory, as the watchdog measures them. It looks four times a
second, and may not have seen a run that is shorter."""


def live(
    request: channel.Request, directory: str, control: socket.socket | None, at_end: mmap.mmap
) -> NoReturn:
    """Runs the process object that was asked for, and ends this process.

    Args:
        request: What was asked for.
        directory: For temporary files.
        control: Where this process can ask for steps; None if it is one.
        at_end: For AT_END.
    """
    os.setpgid(0, 0)
    request.channel.close()
    linux.let_go_first(os.getpid())
    _use_directory(directory)
    _forget_exit_handlers()
    gc.enable()
    if control is not None:
        steps.serve_from(control)
    code = _bootstrap(request, control)
    if control is not None:
        AT_END.pack_into(at_end, 0, linux.proportional(os.getpid()))
    atexit._run_exitfuncs()
    _flush()
    os._exit(code)


def _bootstrap(request: channel.Request, control: socket.socket | None) -> int:
    fork_context.inherited_fds[:] = request.inherited
    current: Any = process.current_process()
    current._inheriting = True
    try:
        with open(request.payload, "rb") as payload:
            payload.seek(0)
            process_object = pickle.load(payload)  # noqa: S301  # our own server wrote it
    finally:
        del current._inheriting
    _wait_for_go(request)
    # Readable when the parent is gone; a step's parent is gone when it is.
    sentinel = control.fileno() if control is not None else os.eventfd(0)
    code: int = process_object._bootstrap(parent_sentinel=sentinel)
    return code


def _wait_for_go(request: channel.Request) -> None:
    """Ends this process where whoever asked for it has given it up, or is gone.

    Whatever could be done without touching the run is done before.
    """
    heard = os.read(request.go, 1)
    os.close(request.go)
    if heard != channel.GO:
        os._exit(0)


def _use_directory(directory: str) -> None:
    os.environ["TMPDIR"] = directory
    tempfile.tempdir = None


def _forget_exit_handlers() -> None:
    """What was registered at import belongs to the server; it would, say, delete its files."""
    atexit._clear()
    for finalizer in list(weakref.finalize._registry):  # type: ignore[attr-defined]
        finalizer.atexit = False
    weakref.finalize._registered_with_atexit = False  # type: ignore[attr-defined]
    atexit.register(logging.shutdown)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue
