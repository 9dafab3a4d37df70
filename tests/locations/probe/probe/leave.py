"""What an op may leave behind: threads, processes, exit handlers. Each function leaves one."""

import asyncio
import atexit
import ctypes
import multiprocessing
import os
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

LONG_SECONDS = 3600
QUICK_SECONDS = 1.0
LEDGER = "PROBE_LEDGER"
"""Variable that names the file for `flush`."""


def thread() -> None:
    threading.Thread(target=lambda: time.sleep(LONG_SECONDS), name="left-thread").start()


def pool() -> None:
    ThreadPoolExecutor(1, thread_name_prefix="left-pool").submit(time.sleep, LONG_SECONDS)


def loop() -> None:
    threading.Thread(target=asyncio.new_event_loop().run_forever, name="left-loop").start()


def native() -> None:
    """A thread in code that is not Python's."""
    sleep = ctypes.CDLL(None).sleep
    threading.Thread(target=sleep, args=(LONG_SECONDS,), name="left-native").start()


def program() -> None:
    subprocess.Popen(["sleep", str(LONG_SECONDS)], start_new_session=True)


def deaf_program() -> None:
    """One that ignores SIGTERM, and does so when this returns."""
    script = f"trap '' TERM; echo; while :; do sleep {LONG_SECONDS}; done"
    process = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()


def worker() -> None:
    """A process that `multiprocessing` waits for."""
    context = multiprocessing.get_context("fork")
    context.Process(target=time.sleep, args=(LONG_SECONDS,)).start()


def copy() -> None:
    if os.fork() == 0:
        time.sleep(LONG_SECONDS)


def daemon() -> None:
    """A copy that has lost its parent and left the session."""
    middle = os.fork()
    if middle == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(LONG_SECONDS)
        os._exit(0)
    os.waitpid(middle, 0)


def copy_returns() -> None:
    """A copy that goes on with all that follows the op; it is waited for."""
    if copied := os.fork():
        os.waitpid(copied, 0)


def copy_raises() -> None:
    """A copy that ends by an exception, in code that has no handler for it."""
    if copied := os.fork():
        os.waitpid(copied, 0)
    else:
        raise RuntimeError("probe: the copy fails")


def exit_handler() -> None:
    def left_handler() -> None:
        time.sleep(LONG_SECONDS)

    atexit.register(left_handler)


def deaf_exit_handler() -> None:
    """An exit handler that no thread of Python can interrupt: it keeps the interpreter's lock."""
    atexit.register(ctypes.PyDLL(None).sleep, LONG_SECONDS)


def flush() -> None:
    """An exit handler that takes a moment, and says that it was not interrupted."""

    def write() -> None:
        time.sleep(QUICK_SECONDS)
        with Path(os.environ[LEDGER]).open("a") as file:
            file.write(f"flushed {os.getpid()}\n")

    atexit.register(write)


LEAVE: dict[str, Callable[[], None]] = {
    each.__name__: each
    for each in (
        *(thread, pool, loop, native, program, deaf_program, worker, copy, daemon),
        *(copy_returns, copy_raises, exit_handler, deaf_exit_handler, flush),
    )
}
