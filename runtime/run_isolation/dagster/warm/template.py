"""The template: a process that has imported everything, and forks a keeper for each run.

Runs in: template; ``fork`` in the server.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from run_isolation.dagster.processes import linux
from run_isolation.dagster.processes.children import Children
from run_isolation.dagster.warm import channel, run_patches, steps
from run_isolation.dagster.warm.keeper import Grace, Keeper

NAME: Final = "run-template"
"""Of the process."""


def fork(settle: Callable[[], None], grace: Grace) -> socket.socket:
    """Forks the template from this process, which has one thread.

    Args:
        settle: Makes a new process one like those that Dagster spawns; called in each.
        grace: Of its keepers.

    Returns:
        Where processes are asked for.
    """
    ours, theirs = channel.control_pair()
    server = os.getpid()
    if os.fork():
        theirs.close()
        return ours
    try:
        ours.close()
        linux.die_with_parent(server)
        os.setsid()
        linux.call_process(NAME)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        # Each run collects its own garbage (child.py). Here it would make holes in shared pages.
        gc.disable()
        with steps.installed(), run_patches.installed():
            run_patches.prepare()
            _serve(theirs, settle, grace)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


def _serve(control: socket.socket, settle: Callable[[], None], grace: Grace) -> None:
    """Forks keepers until the server is gone."""
    # Of a keeper that was killed: processes that the kernel does not kill with it.
    linux.adopt_orphans()
    keepers: set[int] = set()
    children = Children()
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(children, select.POLLIN)
    while True:
        for fd, _ in poll.poll():
            if fd == control.fileno():
                try:
                    request = channel.receive(control)
                except OSError:
                    traceback.print_exc()
                    continue
                if request is None:
                    return
                keepers.add(_fork_keeper(Keeper(request, grace, settle), control, children))
        for pid, _ in children.ended():
            keepers.discard(pid)
            _kill_adopted(keepers)


def _fork_keeper(keeper: Keeper, control: socket.socket, children: Children) -> int:
    try:
        pid = os.fork()
    except OSError as error:
        channel.answer(keeper.request.channel, error=f"No process for the run: {error}")
        pid = -1
    if pid:
        channel.close(keeper.request)
        return pid
    try:
        children.forget()
        control.close()
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        keeper.keep()
    except BaseException as error:
        # Heard where there is no process yet; the run's own process dies with its keeper.
        channel.answer(keeper.request.channel, error=f"No keeper for the run: {error!r}")
        traceback.print_exc()
    finally:
        os._exit(0)


def _kill_adopted(keepers: set[int]) -> None:
    for pid in linux.children(os.getpid()):
        if pid not in keepers:
            for adopted in (pid, *linux.descendants(pid)):
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(adopted, signal.SIGKILL)
