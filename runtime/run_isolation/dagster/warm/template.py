"""The template: a process that has imported everything, and forks a keeper for each run.

Runs in: template; ``fork`` in the server.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import traceback
from collections.abc import Callable
from functools import partial
from typing import Final

from run_isolation.dagster.processes import linux
from run_isolation.dagster.warm import channel, child, keepers, run_patches, steps
from run_isolation.dagster.warm.keeper import Grace

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
    # What import has printed would be printed again by each process, when it flushes.
    linux.flush()
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
            keepers.serve(theirs, partial(child.live, settle), grace)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)
