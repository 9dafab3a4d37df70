"""Makes a forked process one like those that Dagster spawns, and lets it live.

Runs in: run and step.
"""

from __future__ import annotations

import atexit
import gc
import mmap
import os
import pickle
import socket
import tempfile
from collections.abc import Callable, Sequence
from multiprocessing import process
from typing import Any, BinaryIO, NoReturn

from run_isolation.dagster.processes import linux
from run_isolation.dagster.warm import channel, kept_popen, steps
from run_isolation.dagster.warm.keeper import AT_END


def live(
    settle: Callable[[], None],
    request: channel.Request,
    directory: str,
    control: socket.socket | None,
    at_end: mmap.mmap,
    _: int,
) -> NoReturn:
    """Runs the process object that was asked for, and ends this process.

    Args:
        settle: Makes this process one like those that Dagster spawns.
        request: What was asked for.
        directory: For a run's temporary files.
        control: Where this process can ask for steps; None if it is one.
        at_end: For AT_END.
    """
    settle()
    os.setpgid(0, 0)
    request.channel.close()
    linux.let_go_first(os.getpid())
    gc.enable()
    with open(request.payload, "rb") as payload:
        payload.seek(0)
        pickle.load(payload).take_on()  # noqa: S301  # our own server, or run, wrote it
        if control is not None:
            os.environ["TMPDIR"] = directory
            steps.serve_from(control)
        tempfile.tempdir = None
        process_object = _unpickled(payload, request.inherited)
    channel.wait_for_go(request)
    # Readable when the parent is gone; a step's parent is gone when it is.
    sentinel = control.fileno() if control is not None else os.eventfd(0)
    code: int = process_object._bootstrap(parent_sentinel=sentinel)
    if control is not None:
        AT_END.pack_into(at_end, 0, linux.proportional(os.getpid()))
    atexit._run_exitfuncs()
    linux.flush()
    os._exit(code)


def _unpickled(payload: BinaryIO, inherited: Sequence[int]) -> Any:
    kept_popen.inherited_fds[:] = inherited
    current: Any = process.current_process()
    current._inheriting = True
    try:
        return pickle.load(payload)  # noqa: S301  # as above
    finally:
        del current._inheriting
