"""Libraries that must not be initialised in a process that forks, and how to tell that they are."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final


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


def initialised() -> list[Library]:
    """Those that user code has initialised."""
    found = []
    for library in LIBRARIES:
        module = sys.modules.get(library.module)
        try:
            if module is not None and library.initialised(module):
                found.append(library)
        except AttributeError:
            continue  # a version that we don't know
    return found
