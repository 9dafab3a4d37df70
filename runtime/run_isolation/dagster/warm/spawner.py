"""The spawner: what the template is for forked runs, for those that get a new interpreter.

Runs in: server, which starts it and asks it; the spawner itself, a small process that forks a
keeper for each run.

Its keepers do for spawned runs what those of the template do. It has imported next to nothing, so
each of them is small, and has one thread whatever the site's start-up code does
(``sitecustomize``): it does not execute that.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import subprocess
import sys
from dataclasses import astuple
from pathlib import Path
from threading import Lock
from typing import Final

from run_isolation.dagster.processes import linux
from run_isolation.dagster.warm import channel, keepers, new_interpreter
from run_isolation.dagster.warm.keeper import Grace

NAME: Final = "run-spawner"
"""Of the process."""

_PROGRAM: Final = f"""
import sys, types
sys.modules["run_isolation"] = core = types.ModuleType("run_isolation")
core.__path__ = [{str(Path(__file__).parents[2])!r}]
from {__name__} import main
main({{control}}, {{grace}})
"""
"""The core is not imported: its libraries have 12 MiB, and are where start-up code says."""


class Spawner:
    """That of this process: started when it is first asked, and anew when it is gone.

    Args:
        grace: Of its keepers.
    """

    def __init__(self, grace: Grace) -> None:
        self._grace = grace
        self._lock = Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def control(self) -> socket.socket:
        """Where processes are asked for.

        Raises:
            OSError: There can be no such process now.
        """
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._process, self._control = _start(self._grace)
            return self._control


def _start(grace: Grace) -> tuple[subprocess.Popen[bytes], socket.socket]:
    ours, theirs = channel.control_pair()
    with theirs:
        # -S: without the site's start-up code.
        program = _PROGRAM.format(control=theirs.fileno(), grace=astuple(grace))
        command = [sys.executable, "-S", "-c", program]
        return subprocess.Popen(command, pass_fds=[theirs.fileno()]), ours


def main(control: int, grace: tuple[float, float, float]) -> None:
    """What the process executes. Returns when nobody is left who could ask."""
    os.set_inheritable(control, False)
    os.setsid()
    linux.call_process(NAME)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.freeze()  # each keeper's collector would write to what they share
    keepers.serve(socket.socket(fileno=control), new_interpreter.live, Grace(*grace))
