import pytest

from run_isolation.fargate import CPUS, MEMORY_BY_CPU, memory_text


@pytest.mark.parametrize(
    ("cpu", "smallest", "largest", "count"),
    [
        (256, 512, 2048, 3),
        (512, 1024, 4096, 4),
        (1024, 2048, 8192, 7),
        (2048, 4096, 16384, 13),
        (4096, 8192, 30720, 23),
        (8192, 16384, 61440, 12),
        (16384, 32768, 122880, 12),
    ],
)
def test_sizes_of_the_documentation(cpu: int, smallest: int, largest: int, count: int) -> None:
    sizes = MEMORY_BY_CPU[cpu]
    assert (sizes[0], sizes[-1], len(sizes)) == (smallest, largest, count)
    assert len(CPUS) == 7


def test_sizes_in_words() -> None:
    assert memory_text(256) == "512, 1024 or 2048 MiB with cpu 256"
    assert memory_text(8192) == "16384 to 61440 MiB in steps of 4096 with cpu 8192"
