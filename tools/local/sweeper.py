"""What an unfinished command has started ends with it.

A process of its own sees to that: nothing else outlives a SIGKILL of the command. It finds what the
command started by a variable of the environment, which each process passes on to those that it
starts, also to the ones that are no descendants of the command any more.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import BinaryIO, Final

import psutil

MARK: Final = "RUN_ISOLATION_STARTED_BY"
GRACE: Final = 20.0
"""Seconds from SIGTERM to SIGKILL: Pulumi's engine finishes what it has begun, the account ends its
tasks."""
POLL: Final = 0.1
"""Seconds between two looks at what is left."""
_FINISHED, _AT_ONCE, _STOP = b"finished\n", b"at once\n", b"stop\n"
_BY_TERMINAL = b"stop what the terminal has not interrupted\n"


@contextlib.contextmanager
def swept(lock: BinaryIO, say: Callable[[str], None], parent: int) -> Iterator[None]:
    """Run the block as a command that leaves nothing behind where it is interrupted or killed.

    SIGINT, SIGTERM, SIGHUP and the end of the `make` that runs it end the process. Where the block
    ends by itself, well or not, what it has started stays, and signals are handled as before.

    Args:
        lock: A locked file, which stays locked until everything is gone.
        say: Gets a sentence for the user.
        parent: What `os.getppid()` was when the command began, before the imports that take long.
    """
    mark = uuid.uuid4().hex
    sweeper = subprocess.Popen(
        [sys.executable, "-m", __name__, mark, str(os.getpgid(0))],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        pass_fds=[lock.fileno()],
        bufsize=0,
    )
    assert sweeper.stdin is not None  # noqa: S101  # for mypy
    orders = sweeper.stdin
    interrupted = False

    def interrupt(number: int, _: object) -> None:
        nonlocal interrupted
        by_terminal = number == signal.SIGINT and sys.stdin.isatty()
        order = _AT_ONCE if interrupted else _BY_TERMINAL if by_terminal else _STOP
        with contextlib.suppress(OSError):
            orders.write(order)
        if interrupted:
            return
        interrupted = True
        # RuntimeError: the signal came in the middle of a line to the same stream.
        with contextlib.suppress(OSError, RuntimeError):
            name = signal.Signals(number).name
            say(
                f"{name}: ending what this command has started. "
                "Press Ctrl-C again to kill it at once."
            )
        # Python notices a signal that comes just before it waits when it has waited.
        while sweeper.poll() is None:
            time.sleep(POLL)
        # Not by an exception: whoever waits for a thread or a process would wait on.
        os._exit(128 + number)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, interrupt) for number in numbers}
    os.environ[MARK] = mark
    _end_with_make(parent)
    try:
        yield
    finally:
        # There is nothing to end any more. And `interrupt` must not wait while we wait below:
        # Popen.wait would wait for its own lock.
        for number, handler in before.items():
            signal.signal(number, handler)
        with contextlib.suppress(OSError):
            orders.write(_FINISHED)
        sweeper.wait()


def _end_with_make(parent: int) -> None:
    """End this process when `make` is gone, which has started it and is killed, say."""
    if "MAKELEVEL" not in os.environ:
        return
    make = None
    with contextlib.suppress(ProcessLookupError):
        make = os.pidfd_open(parent)
    # Another process may have its number by now.
    if make is None or os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)
        return

    def watch() -> None:
        select.select([make], [], [])
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="make", daemon=True).start()


def started_by(mark: str) -> list[psutil.Process]:
    """The processes that this command has started, themselves or through others."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            marked = process.environ().get(MARK) == mark
            if marked and process.pid != os.getpid():
                found.append(process)
    return found


def sweep(mark: str, interrupted: int | None, at_once: threading.Event) -> None:
    """End what the command has started.

    Args:
        mark: The command's.
        interrupted: A process group that has got a signal already, for which a second one would
            mean "at once": Pulumi's engine is in the command's.
        at_once: Whether there is no time to end well.
    """
    deadline = time.monotonic() + GRACE
    left = started_by(mark)
    pids = {process.pid for process in left}
    for process in left:
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            # The others are theirs to end.
            if process.ppid() not in pids and os.getpgid(process.pid) != interrupted:
                process.terminate()
    while left := started_by(mark):
        if at_once.is_set() or time.monotonic() > deadline:
            for process in left:
                with contextlib.suppress(psutil.Error):
                    process.kill()
        psutil.wait_procs(left, timeout=POLL)


def main() -> None:
    """Wait for the command's last word, or for its end without one."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    at_once = threading.Event()

    def listen() -> None:
        if sys.stdin.buffer.readline() == _AT_ONCE:
            at_once.set()

    mark, group = sys.argv[1:]
    order = sys.stdin.buffer.readline()
    if order != _FINISHED:
        threading.Thread(target=listen, daemon=True).start()
        sweep(mark, int(group) if order == _BY_TERMINAL else None, at_once)


if __name__ == "__main__":
    main()
