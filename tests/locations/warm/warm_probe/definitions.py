"""Jobs whose op reports what its process is like, and does to it what the run config says."""

import json
import logging
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from dagster import Config, Definitions, OpExecutionContext, in_process_executor, job, op

WAIT_LIMIT_SECONDS = 120.0
POLL_SECONDS = 0.02


class Look(Config):
    """Where to report to, as JSON; whether to leave a process behind; for which file to wait."""

    report_to: str = ""
    leave: bool = False
    wait_for: str = ""


def _look(config: Look) -> None:
    with tempfile.NamedTemporaryFile(delete=False) as left:
        left.write(b"left behind")
    leftover = None
    if config.leave:
        # In a session of its own, so that no signal to the run's group reaches it.
        leftover = subprocess.Popen(["sleep", "600"], start_new_session=True).pid
    report = {
        "pid": os.getpid(),
        "ppid": os.getppid(),
        "file": left.name,
        "leftover": leftover,
        "random": random.random(),
        "oom_score_adj": int(Path("/proc/self/oom_score_adj").read_text()),
        "sigterm_is_default": signal.getsignal(signal.SIGTERM) is signal.SIG_DFL,
        "handlers": len(logging.getLogger("dagster").handlers),
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "modules": sorted(sys.modules),
        "cwd": os.getcwd(),
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "cpus": len(os.sched_getaffinity(0)),
    }
    if config.report_to:
        draft = Path(f"{config.report_to}.draft")
        draft.write_text(json.dumps(report))
        draft.rename(config.report_to)
    deadline = time.monotonic() + WAIT_LIMIT_SECONDS
    while config.wait_for and not Path(config.wait_for).exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{config.wait_for} did not appear in {WAIT_LIMIT_SECONDS} s")
        time.sleep(POLL_SECONDS)


@op
def look(context: OpExecutionContext, config: Look) -> None:
    """Report."""
    _look(config)


@op
def look_too(context: OpExecutionContext, config: Look) -> None:
    """Report, beside `look`."""
    _look(config)


@job(executor_def=in_process_executor)
def look_job() -> None:
    """One op, in the run's own process."""
    look()


@job
def steps_job() -> None:
    """Two ops with Dagster's default executor: a process for each."""
    look()
    look_too()


defs = Definitions(jobs=[look_job, steps_job])
