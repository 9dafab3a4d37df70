"""The code location that is tormented. Each op says that it is executed before it does anything."""

import os
import signal
import time

import dagster as dg

MOST_CHILDREN = 250
STEP_SECONDS = 0.05


class Body(dg.Config):
    """What is to be done (``plan.Body``), and where it is written down."""

    ledger: str
    seconds: float = 0.0
    end: str = "finish"

    def note(self, what: str, run_id: str) -> None:
        """Adds a line, which is whole among those of other processes."""
        log = os.open(self.ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        line = f"{what} {run_id} {os.getpid()} {os.getsid(0)} {time.time()}\n"
        os.write(log, line.encode())
        os.close(log)


@dg.op
def live(context: dg.OpExecutionContext, config: Body) -> None:
    config.note("began", context.run_id)
    if config.end == "bomb":
        bomb(config, context.run_id)
    elif config.end == "deaf":
        endure(config.seconds)
    else:
        time.sleep(config.seconds)
    if config.end == "fail":
        raise RuntimeError("as it was to")
    if config.end == "die":
        os.kill(os.getpid(), signal.SIGKILL)


def endure(seconds: float) -> None:
    """Works, whoever interrupts it."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            time.sleep(STEP_SECONDS)
        except BaseException:
            continue


def bomb(config: Body, run_id: str) -> None:
    """Fills the container's process table for a while."""
    config.note("bomb", run_id)
    children = []
    try:
        for _ in range(MOST_CHILDREN):
            pid = os.fork()
            if not pid:
                signal.pause()
                os._exit(0)
            children.append(pid)
    except OSError:
        pass
    time.sleep(config.seconds)
    for pid in children:
        os.kill(pid, signal.SIGKILL)
    for pid in children:
        os.waitpid(pid, 0)
    config.note("calm", run_id)


@dg.job(executor_def=dg.in_process_executor)
def alone() -> None:
    live()


@dg.job
def steps() -> None:
    live()


defs = dg.Definitions(jobs=[alone, steps])
