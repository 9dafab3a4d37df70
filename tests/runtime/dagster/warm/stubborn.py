"""A process of a template that does not want to end: ``stubborn.py <work> <seconds> <output>``."""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from run_isolation.dagster.ends import own_keeper
from run_isolation.dagster.warm import template
from run_isolation.dagster.warm.exit_handlers import ExitHandlers
from run_isolation.dagster.warm.fork_context import WarmContext
from run_isolation.dagster.warm.keeper import Grace
from run_isolation.dagster.warm.kept_popen import taken

ROOT = Path(os.environ.get("TMPDIR", "/tmp"))
BURNT_SECONDS = 0.3
SECONDS = 0.5
"""What a keeper waits for, each time, instead of 120, 10 and 5."""


def ignores_cancel(queue: Any, event: Any) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    queue.put(None)
    event.wait()
    time.sleep(600)


def leaves_stubborn_child(queue: Any, event: Any) -> None:
    reads, writes = os.pipe()
    code = "import os, signal, time; signal.signal(15, 1); os.write({}, b'x'); time.sleep(600)"
    child = subprocess.Popen(
        [sys.executable, "-c", code.format(writes)], start_new_session=True, pass_fds=[writes]
    )
    os.read(reads, 1)
    queue.put(child.pid)
    sys.exit(3)


def leaves_stopped_child(queue: Any, event: Any) -> None:
    child = subprocess.Popen(["sleep", "600"], start_new_session=True)
    child.send_signal(signal.SIGSTOP)
    queue.put(child.pid)
    sys.exit(3)


def is_over_and_stays(queue: Any, event: Any) -> None:
    assert own_keeper.keeper is not None
    own_keeper.keeper.say_over(0)
    queue.put(None)
    time.sleep(600)


def closes_what_is_not_its_own(queue: Any, event: Any) -> None:
    queue.put(None)
    queue.close()
    queue.join_thread()
    os.closerange(3, 256)
    time.sleep(4 * SECONDS)
    sys.exit(3)


def registers_exit(queue: Any, event: Any) -> None:
    atexit.register((ROOT / "own").touch)
    queue.put(None)


def sets_event(queue: Any, event: Any) -> None:
    event.set()
    queue.put(None)


def takes(queue: Any, event: Any) -> None:
    """Has 48 MiB at its end, and CPU seconds of a process that it does not wait for."""
    reads, writes = os.pipe()
    if os.fork() == 0:
        while time.process_time() < BURNT_SECONDS:
            pass
        os.write(writes, b"x")
        os._exit(0)
    os.read(reads, 1)
    # After the fork: while the child is there, each has half of what they share.
    atexit.register(bytearray(b"x" * (48 * 2**20)).clear)
    queue.put(None)


def main(work: str, seconds: float, output: Path) -> None:
    """Has the template make the process, cancels it, and writes down what became of it."""
    atexit.register((ROOT / "template").touch)
    control = template.fork(ExitHandlers().keep, Grace(cancel=seconds, over=seconds, term=seconds))
    context = WarmContext(control, lambda why: sys.exit(f"The template is gone: {why}"))
    queue, event = context.Queue(), context.Event()
    process = context.Process(target=globals()[work], args=(queue, event))
    process.start()
    child = queue.get(timeout=60)
    began = time.monotonic()
    if work == "ignores_cancel":
        event.set()
    process.join()
    seconds = time.monotonic() - began
    found = {"exit_code": process.exitcode, "child": child, "event": event.is_set()}
    output.write_text(json.dumps({**found, "seconds": seconds, "taken": taken(process)}))
    os._exit(0)  # "template" is for a process that runs what this one has registered


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), Path(sys.argv[3]))
