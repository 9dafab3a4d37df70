"""Learns of the ends of this process's children, beside other things that it waits for.

Runs in: template and keeper.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator


class Children:
    """The children of a process with one thread. ``fileno`` is readable when one has ended."""

    def __init__(self) -> None:
        self._reads, self._writes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self._writes, warn_on_full_buffer=False)
        # A handler, or there is no wake-up; it has nothing to do.
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def fileno(self) -> int:
        """For select and poll."""
        return self._reads

    def ended(self) -> Iterator[tuple[int, int]]:
        """Ids and exit codes of those that have ended since the last time."""
        try:
            while os.read(self._reads, 512):
                pass
        except BlockingIOError:
            pass
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            yield pid, os.waitstatus_to_exitcode(status)

    def any(self) -> bool:
        """Whether there is one, alive or not waited for.

        Without one there is no descendant at all where this process adopts orphans.
        """
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return False
        return True

    def forget(self) -> None:
        """In a forked process: it has children of its own."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.close(self._reads)
        os.close(self._writes)
