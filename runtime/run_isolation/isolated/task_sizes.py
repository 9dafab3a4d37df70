"""The size of a run's task: what its tags ask for, completed to a pair that Fargate has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from run_isolation.fargate import (
    CPUS,
    EPHEMERAL_STORAGE,
    MEMORY_BY_CPU,
    TASK_SIZE_URL,
    memory_text,
    nearest_number,
)
from run_isolation.manifest import Location, Size
from run_isolation.problem import Problem

Report = Callable[[Problem], None]

_MEMORIES: Final = sorted({memory for sizes in MEMORY_BY_CPU.values() for memory in sizes})


@dataclass(frozen=True)
class Number:
    """A number that a tag gives, and which tag it is."""

    key: str
    value: int


def whole_number(key: str, value: object, report: Report) -> Number | None:
    """The number in a tag's text."""
    text = str(value)
    if text.isascii() and text.isdecimal() and len(text) < 10:
        return Number(key, int(text))
    report(Problem(key, text, "a whole number, such as 4096"))
    return None


def size(
    cpu: Number | None, memory: Number | None, location: Location, report: Report
) -> Size | None:
    """The size that a run asks for; None where it asks for none.

    Of a pair only half of which is given, the other half is the code location's own if Fargate has
    that pair, else the nearest that it has.

    Args:
        cpu: CPU units.
        memory: MiB.
        location: Its own size, and the largest that is allowed.
        report: Called with everything that is wrong.
    """
    problems = [_cpu_problem(cpu, location.largest), _memory_problem(cpu, memory, location)]
    for problem in problems:
        if problem is not None:
            report(problem)
    if any(problems):
        return None
    own = location.isolated
    if cpu is not None and memory is not None:
        return Size(cpu=cpu.value, memory=memory.value)
    if cpu is not None:
        # Within the largest: own is, and a smaller CPU size has smaller memory sizes, too.
        nearest = nearest_number(own.memory, MEMORY_BY_CPU[cpu.value])
        return Size(cpu=cpu.value, memory=nearest)
    if memory is not None:
        fitting = [each for each in CPUS if memory.value in MEMORY_BY_CPU[each]]
        return Size(cpu=nearest_number(own.cpu, fitting), memory=memory.value)
    return None


def disk(size: Number | None, report: Report) -> int | None:
    """GiB of disk that a run asks for."""
    if size is None or size.value in EPHEMERAL_STORAGE:
        return size.value if size else None
    first, last = EPHEMERAL_STORAGE[0], EPHEMERAL_STORAGE[-1]
    report(
        Problem(
            size.key,
            str(size.value),
            f"{first} to {last} GiB; without this tag the task definition's",
            str(nearest_number(size.value, EPHEMERAL_STORAGE)),
        )
    )
    return None


def _cpu_problem(cpu: Number | None, largest: Size) -> Problem | None:
    if cpu is None:
        return None
    if cpu.value not in MEMORY_BY_CPU:
        allowed = f"{', '.join(map(str, CPUS))} CPU units ({TASK_SIZE_URL})"
        return Problem(cpu.key, str(cpu.value), allowed, str(nearest_number(cpu.value, CPUS)))
    return _cap_problem(cpu, largest.cpu, "cpu")


def _memory_problem(
    cpu: Number | None, memory: Number | None, location: Location
) -> Problem | None:
    if memory is None:
        return None
    # Held against the CPU size that counts, unless that is wrong itself or free to choose.
    if cpu is not None and cpu.value in MEMORY_BY_CPU:
        sizes, text = MEMORY_BY_CPU[cpu.value], memory_text(cpu.value)
    else:
        sizes, text = tuple(_MEMORIES), memory_text(location.isolated.cpu)
    if memory.value not in sizes:
        nearest = str(nearest_number(memory.value, sizes))
        return Problem(memory.key, str(memory.value), f"{text} ({TASK_SIZE_URL})", nearest)
    return _cap_problem(memory, location.largest.memory, "memory")


def _cap_problem(asked: Number, largest: int, name: str) -> Problem | None:
    if asked.value <= largest:
        return None
    return Problem(
        asked.key,
        str(asked.value),
        f"up to {largest}: isolated.largest.{name} of the code location in the stack's config",
        str(largest),
    )
