import pytest

from run_isolation import Location, Size
from run_isolation.fargate import CPUS, MEMORY_BY_CPU
from run_isolation.isolated.task_sizes import Number, disk, size, whole_number
from run_isolation.problem import Problem
from tests.runtime.manifests import MANIFEST

SALES = MANIFEST.locations["sales"]
ALL = [(cpu, memory) for cpu in CPUS for memory in MEMORY_BY_CPU[cpu]]


def asked(
    cpu: int | None, memory: int | None, location: Location = SALES
) -> tuple[Size | None, list[Problem]]:
    problems: list[Problem] = []
    found = size(
        Number("ecs/cpu", cpu) if cpu is not None else None,
        Number("ecs/memory", memory) if memory is not None else None,
        location,
        problems.append,
    )
    return found, problems


def located(own: tuple[int, int], largest: tuple[int, int] = ALL[-1]) -> Location:
    sizes = {
        "isolated": Size(cpu=own[0], memory=own[1]),
        "largest": Size(cpu=largest[0], memory=largest[1]),
    }
    return SALES.model_copy(update=sizes)


def test_nothing_asked() -> None:
    assert asked(None, None) == (None, [])


@pytest.mark.parametrize(("cpu", "memory"), ALL)
def test_every_pair_of_fargate(cpu: int, memory: int) -> None:
    assert asked(cpu, memory) == (Size(cpu=cpu, memory=memory), [])


@pytest.mark.parametrize(
    ("cpu", "memory", "completed"),
    [
        # The location's own 4096 and 16384, where Fargate has the pair.
        (8192, None, (8192, 16384)),
        (2048, None, (2048, 16384)),
        (None, 8192, (4096, 8192)),
        (None, 30720, (4096, 30720)),
        # Else the nearest that it has.
        (1024, None, (1024, 8192)),
        (256, None, (256, 2048)),
        (16384, None, (16384, 32768)),
        (None, 32768, (8192, 32768)),
        (None, 4096, (2048, 4096)),
        (None, 512, (256, 512)),
        (None, 122880, (16384, 122880)),
    ],
)
def test_half_a_pair_is_completed(
    cpu: int | None, memory: int | None, completed: tuple[int, int]
) -> None:
    assert asked(cpu, memory) == (Size(cpu=completed[0], memory=completed[1]), [])


@pytest.mark.parametrize("largest", ALL)
def test_completed_sizes_are_ones_that_fargate_has_within_the_largest(
    largest: tuple[int, int],
) -> None:
    for own in [pair for pair in ALL if pair[0] <= largest[0] and pair[1] <= largest[1]]:
        location = located(own, largest)
        for cpu in [each for each in CPUS if each <= largest[0]]:
            _check(asked(cpu, None, location), largest)
        for memory in {pair[1] for pair in ALL if pair[1] <= largest[1]}:
            _check(asked(None, memory, location), largest)


def _check(found: tuple[Size | None, list[Problem]], largest: tuple[int, int]) -> None:
    size, problems = found
    assert size is not None, problems
    assert size.memory in MEMORY_BY_CPU[size.cpu]
    assert (size.cpu <= largest[0], size.memory <= largest[1]) == (True, True)


@pytest.mark.parametrize(
    ("cpu", "memory", "key", "allowed", "nearest"),
    [
        (3000, None, "ecs/cpu", "256, 512, 1024, 2048, 4096, 8192, 16384 CPU units", "2048"),
        (4096, 7000, "ecs/memory", "8192 to 30720 MiB in steps of 1024 with cpu 4096", "8192"),
        (None, 5000, "ecs/memory", "8192 to 30720 MiB in steps of 1024 with cpu 4096", "5120"),
        (256, 4096, "ecs/memory", "512, 1024 or 2048 MiB with cpu 256", "2048"),
        (0, None, "ecs/cpu", "256, 512", "256"),
    ],
)
def test_sizes_that_fargate_lacks(
    cpu: int | None, memory: int | None, key: str, allowed: str, nearest: str
) -> None:
    found, [problem] = asked(cpu, memory)

    assert found is None
    assert (problem.key, problem.nearest) == (key, nearest)
    assert allowed in problem.allowed


def test_no_larger_than_the_config_allows() -> None:
    location = located((4096, 16384), (4096, 30720))

    found, problems = asked(8192, 32768, location)

    assert found is None
    assert [str(problem) for problem in problems] == [
        "ecs/cpu: 8192\n"
        "  allowed: up to 4096: isolated.largest.cpu of the code location in the stack's config\n"
        "  nearest: 4096",
        "ecs/memory: 32768\n"
        "  allowed: up to 30720: isolated.largest.memory of the code location in the stack's "
        "config\n"
        "  nearest: 30720",
    ]


@pytest.mark.parametrize(
    ("gib", "nearest"), [(20, "21"), (201, "200"), (0, "21"), (21, None), (200, None)]
)
def test_disk(gib: int, nearest: str | None) -> None:
    problems: list[Problem] = []

    found = disk(Number("ecs/ephemeral_storage", gib), problems.append)

    assert found == (None if nearest else gib)
    assert [problem.nearest for problem in problems] == ([nearest] if nearest else [])


@pytest.mark.parametrize("text", ["4 vCPU", "-1", "4.0", "", "٤", "1" * 5000])
def test_no_number(text: str) -> None:
    problems: list[Problem] = []

    assert whole_number("ecs/cpu", text, problems.append) is None
    assert [(one.key, one.value) for one in problems] == [("ecs/cpu", text)]
