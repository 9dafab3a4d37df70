"""Jobs that no container should have to bear. Each may be asked to leave a word in a file."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import dagster as dg

MIB = 2**20
TOO_MUCH_MIB = 2048
LINES_PER_SECOND = 10_000
LOGGED_SECONDS = 5
FOREVER_SECONDS = 600.0
FILLED_MIB = 64


class Report(dg.Config):
    """Where the op says what it has done, for the test."""

    report_to: str = ""

    def say(self, text: str) -> None:
        if self.report_to:
            draft = Path(f"{self.report_to}.draft")
            draft.write_text(text)
            draft.rename(self.report_to)


@dg.op
def work() -> None: ...


@dg.op
def exit_at_once() -> None:
    os._exit(3)


@dg.op
def segfault() -> None:
    ctypes.string_at(0)


@dg.op
def allocate() -> None:
    held = [bytearray(b"x" * MIB) for _ in range(TOO_MUCH_MIB)]
    raise MemoryError(f"{len(held)} MiB are taken, and nobody minds")


@dg.op
def fork_bomb(config: Report) -> None:
    """Fills the container's process table with what is deaf to SIGTERM and has left the session.

    Who is refused waits: hundreds that try on and on would be a test of the CPU.
    """
    first, forks = os.getpid(), 0
    while True:
        try:
            if os.fork() == 0:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                os.setsid()
            else:
                forks += 1
        except OSError:
            if os.getpid() == first:
                break
            signal.pause()
    config.say(str(forks))
    raise dg.Failure(f"the kernel refused a fork after {forks}")


@dg.op
def log_a_lot(context: dg.OpExecutionContext) -> None:
    began = time.monotonic()
    for tenth in range(LOGGED_SECONDS * 10):
        for line in range(LINES_PER_SECOND // 10):
            print(f"line {line} of tenth {tenth} " + "x" * 80)
        sys.stdout.flush()
        context.log.info(f"tenth {tenth}")
        time.sleep(max(0.0, began + (tenth + 1) / 10 - time.monotonic()))


@dg.op
def ignore_signals(config: Report) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    config.say(str(os.getpid()))
    deadline = time.monotonic() + FOREVER_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(BaseException):
            time.sleep(1)


@dg.op
def leak_processes(config: Report) -> None:
    """One that has lost its parent and left the session, and one that is just forgotten."""
    script = "trap '' TERM HUP INT; sleep 600 & sleep 600"
    forgotten = subprocess.Popen(["sleep", "600"])
    middle = os.fork()
    if middle == 0:
        subprocess.Popen(["sh", "-c", script], start_new_session=True)
        os._exit(0)
    os.waitpid(middle, 0)
    config.say(str(forgotten.pid))


@dg.op
def fill_disk(config: Report) -> None:
    directory = tempfile.mkdtemp()
    with open(os.path.join(directory, "big"), "wb") as file:
        for _ in range(FILLED_MIB):
            file.write(b"x" * MIB)
    # Not writable, so that it resists a careless removal.
    os.chmod(directory, 0o500)
    config.say(directory)


def alone(op: dg.OpDefinition, name: str) -> dg.JobDefinition:
    """A job of one op, in the run's own process."""
    graph = dg.GraphDefinition(name=name, node_defs=[op])
    return graph.to_job(executor_def=dg.in_process_executor)


@dg.job
def allocate_in_a_step() -> None:
    """With Dagster's default executor: a process for each step."""
    allocate()


@dg.job
def exit_in_a_step() -> None:
    exit_at_once()


defs = dg.Definitions(
    jobs=[
        allocate_in_a_step,
        exit_in_a_step,
        *(
            alone(op, name)
            for op, name in (
                (work, "ordinary"),
                (exit_at_once, "exits"),
                (segfault, "segfaults"),
                (allocate, "allocates"),
                (fork_bomb, "bombs"),
                (log_a_lot, "logs"),
                (ignore_signals, "ignores_signals"),
                (leak_processes, "leaks"),
                (fill_disk, "fills_disk"),
            )
        ),
    ]
)
