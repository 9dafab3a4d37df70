"""What libraries are known to do about forks: some must not be initialised, some make ready.

Runs in: server, when it has imported user code.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from run_isolation.dagster.processes import linux


@dataclass(frozen=True)
class Library:
    """One of them.

    Attributes:
        module: Where its state is.
        initialised: Whether it is; gets the module.
        why: What a fork breaks.
    """

    module: str
    initialised: Callable[[Any], bool]
    why: str


LIBRARIES: Final = (
    # https://docs.pytorch.org/docs/stable/notes/multiprocessing.html#cuda-in-multiprocessing
    Library("torch.cuda", lambda cuda: bool(cuda.is_initialized()), "CUDA has no use in a fork"),
    # JAX warns of it itself (jax/_src/xla_bridge.py, os.register_at_fork).
    Library("jax._src.xla_bridge", lambda xla: bool(xla._backends), "XLA has threads"),
    Library("ray", lambda ray: bool(ray.is_initialized()), "the driver is one process"),
    Library(
        "pyspark",
        lambda spark: spark.SparkContext._active_spark_context is not None,
        "the gateway to its JVM is one process's",
    ),
    Library("jpype", lambda jpype: bool(jpype.isJVMStarted()), "a JVM does not survive a fork"),
)

HARMLESS_THREADS: Final = {
    # Of pyarrow, so of pandas, and of polars. jemalloc takes its locks before a fork, and does
    # without the thread in the child (background_thread_postfork_child in
    # https://github.com/jemalloc/jemalloc/blob/5.3.0/src/background_thread.c).
    "jemalloc_bg_thd",
    # Polars starts it at import to delete what its queries have spilled, and waits for it nowhere
    # (https://github.com/pola-rs/polars/blob/main/crates/polars-ooc/src/spill_file.rs).
    "polars-ooc-clea",
}
"""Names, as Linux cuts them to 15 bytes, of threads that nobody misses in a fork."""

TRIAL_SECONDS: Final = 20.0
"""For a fork to live: milliseconds, but not in a container that starts at 0.25 vCPU."""


def threads() -> dict[int, str]:
    """Ids and names of this process's threads but the harmless ones."""
    return {
        number: name for number, name in linux.threads().items() if name not in HARMLESS_THREADS
    }


def objects(kind: type) -> list[Any]:
    """All of a class that Python's garbage collector knows of."""
    # An object may lie about its class, or compute it: type() asks nobody.
    return [thing for thing in gc.get_objects() if issubclass(type(thing), kind)]


def fork_for_trial() -> bool:
    """Forks once: has libraries end the threads that they end before a fork, as NumPy's OpenBLAS.

    Returns:
        Whether the fork lives. In one that does not, a library's handler of forks waits for ever.
    """
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    waiting = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(waiting, select.POLLIN)
    lives = bool(poll.poll(TRIAL_SECONDS * 1000))
    os.close(waiting)
    if not lives:
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return lives


def close_idle_connections() -> None:
    """Closes what urllib3, which boto3 and requests bring, keeps for next time and opens again.

    A boto3 client has one when it has got its credentials, which in a task it gets over HTTP.
    """
    urllib3 = sys.modules.get("urllib3")
    if urllib3 is not None:
        for manager in objects(urllib3.PoolManager):
            manager.clear()


def initialised() -> list[Library]:
    """Those of ``LIBRARIES`` that user code has initialised."""
    found = []
    for library in LIBRARIES:
        module = sys.modules.get(library.module)
        try:
            if module is not None and library.initialised(module):
                found.append(library)
        except AttributeError:
            continue  # a version that we don't know
    return found
