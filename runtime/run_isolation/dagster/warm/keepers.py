"""Forks a keeper for each process that is asked for, until nobody is left who could ask.

Runs in: template; spawner.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import traceback
from contextlib import suppress
from typing import Final

from run_isolation.dagster.processes import linux
from run_isolation.dagster.processes.children import Children
from run_isolation.dagster.warm import channel
from run_isolation.dagster.warm.keeper import Grace, Keeper, Life

_AGAIN_MILLISECONDS: Final = 1000
"""After a look at processes that failed."""


def serve(control: socket.socket, live: Life, grace: Grace) -> None:
    """Forks keepers until the server is gone.

    Args:
        control: Where they are asked for.
        live: What a keeper's processes do.
        grace: Of the keepers.
    """
    # Of a keeper that was killed: processes that the kernel does not kill with it.
    linux.adopt_orphans()
    keepers: set[int] = set()
    children = Children()
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(children, select.POLLIN)
    overdue = False
    while True:
        for fd, _ in poll.poll(_AGAIN_MILLISECONDS if overdue else None):
            if fd == control.fileno():
                try:
                    request = channel.receive(control)
                except OSError:
                    traceback.print_exc()
                    continue
                if request is None:
                    return
                keepers.add(_fork_keeper(Keeper(request, grace, live), control, children))
        ended = {pid for pid, _ in children.ended()}
        keepers -= ended
        if ended or overdue:
            overdue = not _kill_adopted(keepers)


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


def _kill_adopted(keepers: set[int]) -> bool:
    """Whether it could be seen which there are: not without a descriptor to be had."""
    try:
        strangers = [pid for pid in linux.children(os.getpid()) if pid not in keepers]
        adopted = [one for pid in strangers for one in (pid, *linux.descendants(pid))]
    except OSError:
        traceback.print_exc()
        return False
    for pid in adopted:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    return True
