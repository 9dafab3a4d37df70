"""Processes of a template that are given up: ``withdrawn.py <scenario>``.

What each did is in the file ``worked``, a line for each process; what the asker saw, in ``seen``:
both in the directory that the variable WITHDRAWN names.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

from run_isolation import start_run_timers
from run_isolation.dagster.processes import linux
from run_isolation.dagster.warm import channel, template
from run_isolation.dagster.warm.fork_context import WarmContext
from run_isolation.dagster.warm.keeper import Grace, Keeper
from run_isolation.dagster.warm.kept_popen import ForkedPopen
from tests.waiting import eventually

DIRECTORY = Path(os.environ.get("WITHDRAWN", ""))
SILENCE_SECONDS = 0.5


def work() -> None:
    """What a run does."""
    with (DIRECTORY / "worked").open("a") as worked:
        worked.write(f"{os.getpid()}\n")


def start(context: WarmContext) -> dict[str, Any]:
    """What came of a start."""
    begun = time.monotonic()
    process = context.Process(target=work)
    try:
        process.start()
        process.join()
        came: dict[str, Any] = {"exit_code": process.exitcode}
    except OSError as error:
        came = {"error": str(error)}
    return {**came, "seconds": time.monotonic() - begun}


def silent_template(context: WarmContext, pid: int) -> list[Any]:
    """It is stopped, as one that gets no CPU, and goes on when its process was given up."""
    os.kill(pid, signal.SIGSTOP)
    came = [start(context), start(context)]
    os.kill(pid, signal.SIGCONT)
    last: dict[str, Any] = {}

    def answers() -> bool:
        last.update(start(context))
        return "exit_code" in last

    eventually(answers)
    # Whatever it has forked for those that were given up has ended by itself.
    eventually(lambda: not linux.descendants(pid))
    return [*came, last]


def silent_keeper(context: WarmContext, pid: int) -> list[Any]:
    """The same of steps, which are spawned then."""
    os.kill(pid, signal.SIGSTOP)
    came = start(context)
    os.kill(pid, signal.SIGCONT)
    eventually(lambda: not linux.descendants(pid))
    return [came]


def one_start(context: WarmContext, pid: int) -> list[Any]:
    return [start(context)]


def dead_asker(context: WarmContext, pid: int) -> list[Any]:
    """The server dies when it knows the process, and has not let it go."""

    def dies(popen: ForkedPopen, ours: Any) -> int:
        run = known(popen, ours)
        (DIRECTORY / "seen").write_text(json.dumps([pid, run]))
        os._exit(0)

    known = ForkedPopen._known
    patch.object(ForkedPopen, "_known", dies).start()
    return [start(context)]


def none_below(server: int) -> Callable[[], Any]:
    """Sockets for the server, and none for whom it forks."""

    def pair() -> Any:
        if os.getpid() != server:
            raise OSError(errno.EMFILE, "Too many open files")
        return control_pair()

    control_pair = channel.control_pair
    return pair


SCENARIOS: dict[str, Callable[[WarmContext, int], list[Any]]] = {
    "silent_template": silent_template,
    "silent_keeper": silent_keeper,
    "no_space": one_start,
    "no_descriptors": one_start,
    "dead_keeper": one_start,
    "dead_asker": dead_asker,
}


def main(scenario: str) -> None:
    """Plays one."""
    start_run_timers.FORK_SECONDS = SILENCE_SECONDS  # type: ignore[misc]
    if scenario == "no_space":
        tempfile.tempdir = "/nonexistent"
    if scenario == "no_descriptors":
        patch.object(channel, "control_pair", none_below(os.getpid())).start()
    if scenario == "dead_keeper":
        patch.object(Keeper, "keep", lambda _: os._exit(9)).start()
    control = template.fork(lambda: None, Grace())
    [pid] = linux.children(os.getpid())
    silence_is_loss = scenario == "silent_keeper"
    context = WarmContext(control, lambda _: None, spawns_after_silence=silence_is_loss)
    came = SCENARIOS[scenario](context, pid)
    (DIRECTORY / "seen").write_text(json.dumps(came))
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
