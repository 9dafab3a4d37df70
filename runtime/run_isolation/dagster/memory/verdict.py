"""What is said of a run that was ended because its container had no memory left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from run_isolation import tag_names
from run_isolation.standing.container_memory import MIB, Reading

_MEND: Final = (
    "Launch it isolated, with more memory by the tag ecs/memory if need be, or raise "
    "standing.memory of its code location in the stack config."
)

TAGS: Final = {tag_names.OUT_OF_MEMORY: "true", tag_names.AGAIN: tag_names.DUE}
"""Of such a run: the daemon finds it by them."""


@dataclass(frozen=True)
class Verdict:
    """Why a run had to go."""

    used: int | None
    """Bytes that the run's processes had when they were measured last."""
    container: Reading
    by_kernel: bool
    """Whether the kernel was faster than the watchdog."""

    def __str__(self) -> str:
        had = "not measured" if self.used is None else f"{self.used / MIB:.0f} MiB"
        limit = f"{self.container.limit / MIB:.0f} MiB"
        if self.by_kernel:
            return (
                f"The kernel ended a process of this run for want of memory: the standing "
                f"container has {limit} for its server and all its runs. What the run had before: "
                f"{had}. {_MEND}"
            )
        return (
            f"Ended for want of memory, before the kernel would end the whole standing container: "
            f"the run had {had}, the most of all runs there, and of the container's {limit} only "
            f"{max(0, self.container.free) / MIB:.0f} MiB were left. {_MEND}"
        )
