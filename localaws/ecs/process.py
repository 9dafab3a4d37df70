"""A container as an operating system process."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from localaws.ecs import supervisor
from localaws.ecs.sandbox import Start, first_process

_log = logging.getLogger(__name__)


class ContainerProcess:
    """One container's command under its supervisor (see `localaws.ecs.supervisor`).

    Args:
        start: How its command is started; the program is found on the environment's PATH.
        cgroups: `cgroup.procs` files that the command joins before it runs.
        on_output: Called with each piece of standard output and error, in order.
        on_exit: Called once with the exit code, after the last output.
    """

    def __init__(
        self,
        start: Start,
        *,
        cgroups: Sequence[Path] = (),
        on_output: Callable[[bytes], None] = lambda chunk: None,
        on_exit: Callable[[int], None] = lambda code: None,
    ) -> None:
        spec = {
            "account": os.getpid(),
            "argv": list(start.argv),
            "cwd": str(start.cwd),
            "info": str(start.info) if start.info else None,
            "init": start.init,
            "cgroups": [str(path) for path in cgroups],
        }
        self._info = start.info
        self._on_output = on_output
        self._on_exit = on_exit
        self._ended = threading.Event()
        self._code: int | None = None
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", supervisor.__file__, json.dumps(spec)],
            env=dict(start.environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a Ctrl-C in the terminal is the account's to handle
            bufsize=0,
        )
        threading.Thread(target=self._watch, name=f"container-{self.pid}", daemon=True).start()
        if start.info is not None:
            threading.Thread(target=self._end_sandbox, daemon=True).start()

    @property
    def pid(self) -> int:
        """The supervisor's process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The command's exit code (128 plus the signal when killed); None while it runs."""
        return self._code

    def terminate(self) -> None:
        """Send SIGTERM to the container's command, and to nothing else."""
        self._order(b"T")

    def kill(self) -> None:
        """Kill every process of the container with SIGKILL."""
        # A sandbox goes with its first process, at once; the supervisor has to look for the others.
        if self._code is None:
            self._kill_sandbox()
        self._order(b"K")

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait for the end, at most `timeout` seconds; return the exit code, or None."""
        self._ended.wait(timeout)
        return self._code

    def _order(self, order: bytes) -> None:
        stdin = self._process.stdin
        if stdin is None:
            raise RuntimeError("a container's supervisor has a control pipe")
        with contextlib.suppress(BrokenPipeError, ValueError):  # it has ended already
            stdin.write(order)

    def _end_sandbox(self) -> None:
        """Kill what a supervisor that was killed has left.

        `bwrap --die-with-parent` does not reach a command that has changed its user.
        """
        if self._process.wait() < 0:
            self._kill_sandbox()

    def _kill_sandbox(self) -> None:
        if self._info is not None:
            with contextlib.suppress(OSError, ValueError):
                os.kill(first_process(self._info), signal.SIGKILL)

    def _watch(self) -> None:
        stdout = self._process.stdout
        if stdout is None:
            raise RuntimeError("a container's supervisor has an output pipe")
        with stdout:
            while chunk := stdout.read(65536):
                try:
                    self._on_output(chunk)
                except Exception:
                    # The container runs on, and somebody waits for its end.
                    _log.exception("output of container %s is lost", self.pid)
        code = self._process.wait()
        # A supervisor that is killed has no exit code of Docker's.
        self._code = code if code >= 0 else 128 - code
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._on_exit(self._code)
        finally:
            self._ended.set()
