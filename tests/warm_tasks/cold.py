"""A server that has imported nothing, for `test_forks.py`, and what it forks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.warm_tasks import forks


def main() -> None:
    """A command, by its first argument."""
    what = sys.argv[1]
    if what == "tell":
        print(os.environ["TOLD"], os.getcwd(), sys.argv, file=sys.stderr)
        sys.exit(7)
    if what == "show":
        print(Path("/proc/self/cgroup").read_text(), end="")
        return
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    child = subprocess.Popen(["sleep", "600"], start_new_session=True)
    # Before anybody is told that it is there.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(3))
    print(os.getpid(), child.pid, flush=True)
    if what == "leave":
        return
    while True:  # a signal in the last moment before a longer sleep is not seen
        time.sleep(0.05)


if __name__ == "__main__":
    forks.serve(sys.argv[1])
