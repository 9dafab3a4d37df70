"""Which task sizes Fargate has. The stack config and the tags of runs are held against it.

Source: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-cpu-memory-error.html and
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_definition_parameters.html#task_size,
Linux, as of November 2026.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

TASK_SIZE_URL: Final = (
    "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/"
    "task_definition_parameters.html#task_size"
)

MEMORY_BY_CPU: Final[dict[int, tuple[int, ...]]] = {
    256: (512, 1024, 2048),
    512: tuple(range(1024, 4096 + 1, 1024)),
    1024: tuple(range(2048, 8192 + 1, 1024)),
    2048: tuple(range(4096, 16384 + 1, 1024)),
    4096: tuple(range(8192, 30720 + 1, 1024)),
    8192: tuple(range(16384, 61440 + 1, 4096)),
    16384: tuple(range(32768, 122880 + 1, 8192)),
}
"""CPU units (1024 are one vCPU) to the MiB that may go with them, ascending."""

CPUS: Final = tuple(MEMORY_BY_CPU)

EPHEMERAL_STORAGE: Final = range(21, 200 + 1)
"""GiB that may be asked for; without asking a task has 20.

https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_EphemeralStorage.html
"""


def memory_text(cpu: int) -> str:
    """The memory sizes for this CPU size, as a person would say them."""
    sizes = MEMORY_BY_CPU[cpu]
    step = sizes[-1] - sizes[-2]
    if any(b - a != step for a, b in pairwise(sizes)):
        return f"{', '.join(map(str, sizes[:-1]))} or {sizes[-1]} MiB with cpu {cpu}"
    return f"{sizes[0]} to {sizes[-1]} MiB in steps of {step} with cpu {cpu}"


def nearest_number(value: int, choices: Sequence[int]) -> int:
    """The choice with the smallest distance; the larger of two."""
    return min(choices, key=lambda choice: (abs(choice - value), -choice))
