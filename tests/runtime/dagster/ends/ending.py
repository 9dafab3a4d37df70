"""A process with a keeper, as the isolated run's: ``ending.py <work>``. It prints its id."""

from __future__ import annotations

import atexit
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

from run_isolation.dagster.ends import own_keeper

SECONDS = 600
GRACE_SECONDS = 0.3
"""For each of the three things that a keeper waits for, in the place of 5."""


def say(*pids: int) -> None:
    print(os.getpid(), *pids, flush=True)


def wait_for_signal() -> None:
    """Python does not see one that comes in the last moment before it sleeps: it sleeps often."""
    while True:
        time.sleep(0.05)


def over(exit_code: int) -> None:
    assert own_keeper.keeper is not None
    own_keeper.keeper.say_over(exit_code)


def ends() -> None:
    say()
    sys.exit(7)


def is_killed() -> None:
    say()
    os.kill(os.getpid(), signal.SIGKILL)


def is_killed_after_its_end() -> None:
    say()
    over(0)
    os.kill(os.getpid(), signal.SIGSEGV)


def waits_for_a_signal() -> None:
    def stop(*_: object) -> None:
        sys.exit(5)

    signal.signal(signal.SIGTERM, stop)
    say()
    wait_for_signal()


def holds_the_lock() -> None:
    """No thread of Python gets to run any more."""
    over(4)
    say()
    ctypes.PyDLL(None).sleep(SECONDS)


def closes_what_is_not_its_own() -> None:
    """The byte that says that it is over must not get into its file either."""
    assert own_keeper.keeper is not None
    os.closerange(3, 256)
    reads, writes = os.pipe()
    os.dup2(writes, own_keeper.keeper.over)
    os.set_blocking(reads, False)
    time.sleep(4 * GRACE_SECONDS)
    over(3)
    try:
        os.read(reads, 1)
    except BlockingIOError:
        say()
        sys.exit(6)


def handles_any_signal() -> None:
    """Ends by the number of the first one."""
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda number, _: sys.exit(int(number)))
    say()
    wait_for_signal()


def leaves_what_it_started() -> None:
    """A copy, and a program that is deaf to SIGTERM, has lost its parent and left the session."""
    reads, writes = os.pipe()
    script = f"trap '' TERM; echo $$ >&{writes}; while :; do sleep {SECONDS}; done"
    middle = os.fork()
    if middle == 0:
        subprocess.Popen(["sh", "-c", script], start_new_session=True, pass_fds=[writes])
        os._exit(0)
    os.waitpid(middle, 0)
    program = int(os.read(reads, 100))
    copy = os.fork()
    if copy == 0:
        signal.signal(signal.SIGTERM, lambda *_: os.write(writes, b"handled"))
        wait_for_signal()
    atexit.register(say, program, copy)
    over(0)


WORK: dict[str, Callable[[], None]] = {
    each.__name__: each
    for each in (
        *(ends, is_killed, is_killed_after_its_end, waits_for_a_signal, holds_the_lock),
        *(closes_what_is_not_its_own, handles_any_signal, leaves_what_it_started),
    )
}

if __name__ == "__main__":
    for name in ("GRACE_SECONDS", "TELL_SECONDS", "TERM_SECONDS"):
        setattr(own_keeper, name, GRACE_SECONDS)
    own_keeper.get_keeper()
    WORK[sys.argv[1]]()
