"""A server's processes, without a server: ``kept.py <forked or spawned> <output>``.

It makes all of them at once, writes down what became of each, and kills itself.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SECONDS = 0.5
"""What a keeper waits for, each time, instead of 120, 10 and 5."""
LONG = 600
ROOT = Path(os.environ.setdefault("KEPT_ROOT", os.environ.get("TMPDIR", "/tmp")))
"""Of all of them. Each has a TMPDIR of its own."""


def left_behind() -> list[int]:
    """A program that is deaf to SIGTERM, out of the session, and an orphan."""
    reads, writes = os.pipe()
    script = f"trap '' TERM; echo $$; while :; do sleep {LONG}; done"
    middle = os.fork()
    if middle == 0:
        subprocess.Popen(["sh", "-c", script], start_new_session=True, stdout=writes)
        os._exit(0)
    os.waitpid(middle, 0)
    return [os.getpid(), int(os.read(reads, 100))]


def is_killed(queue: Any, _: Any) -> None:
    queue.put(left_behind())
    queue.close()
    queue.join_thread()
    os.kill(os.getpid(), signal.SIGKILL)


def is_deaf(queue: Any, event: Any) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    queue.put([])
    event.wait()
    time.sleep(LONG)


def is_over_and_stays(queue: Any, _: Any) -> None:
    from run_isolation.dagster.ends import own_keeper

    assert own_keeper.keeper is not None
    own_keeper.keeper.say_over(0)
    queue.put([])
    time.sleep(LONG)


class StopsKeeper:
    """Whose keeper is given no CPU from before the process, which is spawned, begins.

    A forked one takes this up before its keeper has said that it is there.
    """

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return stop_keeper, ()


def stop_keeper() -> None:
    os.kill(os.getppid(), signal.SIGSTOP)


def is_killed_and_has_a_copy(queue: Any, _: Any) -> None:
    """Which would say so if it heard a signal. The keeper goes on when the process is gone."""
    run, keeper = os.getpid(), os.getppid()
    copy = os.fork()
    if copy == 0:
        signal.signal(signal.SIGTERM, lambda *_: (ROOT / "heard").touch())
        (ROOT / "copied").touch()
        while os.getppid() == run:
            time.sleep(0.01)
        os.kill(keeper, signal.SIGCONT)
        time.sleep(LONG)
    while not (ROOT / "copied").exists():
        time.sleep(0.05)
    queue.put([copy])
    queue.close()
    queue.join_thread()
    os.kill(os.getpid(), signal.SIGKILL)


def loses_its_keeper(queue: Any, _: Any) -> None:
    queue.put(left_behind())
    queue.close()
    queue.join_thread()
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(LONG)


def leaves_files(queue: Any, _: Any) -> None:
    with tempfile.NamedTemporaryFile(delete=False) as file:
        file.write(b"left behind")
    queue.put(file.name)


def tells_its_state(queue: Any, _: Any) -> None:
    queue.put(state())


def tells_a_step_s_state(queue: Any, _: Any) -> None:
    """Of a step that is asked for after its run has changed its own."""
    from run_isolation.dagster.warm import steps

    change("run", 0o037, 201)
    steps_own: Any = multiprocessing.get_context(steps.METHOD)
    answers = steps_own.Queue()
    step = steps_own.Process(target=tells_its_state, args=(answers, None))
    step.start()
    queue.put([state(), answers.get(timeout=60)])
    step.join()


def stays(queue: Any, _: Any) -> None:
    queue.put([*left_behind(), os.getppid()])
    time.sleep(LONG)


WORKS: dict[str, Callable[[Any, Any], None]] = {
    each.__name__: each
    for each in (
        *(is_killed, is_killed_and_has_a_copy, is_deaf, is_over_and_stays, loses_its_keeper),
        *(leaves_files, tells_its_state, tells_a_step_s_state, stays),
    )
}
ONLY_FORKED = {"tells_a_step_s_state"}
"""Dagster spawns the steps of a spawned run."""
GOES_ON = "stays"


def state() -> dict[str, Any]:
    """What a process that is spawned has from whoever spawns it."""
    umask = os.umask(0)
    os.umask(umask)
    return {
        "variables": {name: os.environ.get(name) for name in ("LATE", "DROPPED")},
        "clock": time.tzname[0],
        "temporary": tempfile.gettempdir(),
        "directory": os.getcwd(),
        "umask": umask,
        "files": resource.getrlimit(resource.RLIMIT_NOFILE),
        "path": sys.path[-1],
    }


def change(who: str, umask: int, files: int) -> None:
    """Gives this process another state."""
    os.environ["LATE"] = who
    os.environ["TZ"] = f"{who}-1"
    os.environ.pop("DROPPED", None)
    time.tzset()
    os.umask(umask)
    (ROOT / who).mkdir()
    os.chdir(ROOT / who)
    sys.path.append(str(ROOT / who))
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))


def context_of(kind: str) -> Any:
    from run_isolation.dagster.warm import template
    from run_isolation.dagster.warm.exit_handlers import ExitHandlers
    from run_isolation.dagster.warm.fork_context import KeptContext, WarmContext
    from run_isolation.dagster.warm.keeper import Grace

    grace = Grace(SECONDS, SECONDS, SECONDS)
    if kind == "spawned":
        return KeptContext(grace)
    control = template.fork(ExitHandlers().keep, grace)
    return WarmContext(control, lambda why: sys.exit(f"The template is gone: {why}"))


def main(kind: str, output: Path) -> None:
    """Makes the processes, and writes down what became of them."""
    os.environ["DROPPED"] = "yes"
    context = context_of(kind)
    first = context.Process(target=int)  # whoever makes them is there from now on
    first.start()
    first.join()
    change("server", 0o027, 202)
    running = {}
    for name, work in WORKS.items():
        if kind == "forked" or name not in ONLY_FORKED:
            queue, event = context.Queue(), context.Event()
            late = kind == "spawned" and work is is_killed_and_has_a_copy
            second = StopsKeeper() if late else event
            process = context.Process(target=work, args=(queue, second))
            process.start()
            running[name] = (process, queue, event)
    found: dict[str, Any] = {"server": state()}
    for name, (process, queue, event) in running.items():
        told = queue.get(timeout=60)
        if name == "is_deaf":
            event.set()
        if name != GOES_ON:
            process.join()
        left = [pid for pid in told if is_there(pid)] if isinstance(told, list) else []
        there = isinstance(told, str) and Path(told).exists()
        found[name] = {"told": told, "code": process.exitcode, "left": left, "there": there}
    output.write_text(json.dumps(found))
    os.kill(os.getpid(), signal.SIGKILL)


def is_there(pid: Any) -> bool:
    return isinstance(pid, int) and Path(f"/proc/{pid}").exists()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
