"""What is read of control groups: made up ones of either version, and a real one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from localaws.ecs.cgroups import Cgroups, limits_or_none
from run_isolation.standing import container_memory
from run_isolation.standing.container_memory import MIB, ContainerMemory, find, reserve

UNLIMITED_V1 = 9223372036854771712
TASK = 512 * MIB


def proc(root: Path, version: int, path: str) -> Path:
    """A `proc` of a process in the group of this path."""
    own = root / "proc" / "self"
    own.mkdir(parents=True)
    mount = f"cgroup {root}/cgroup cgroup rw,relatime,memory 0 0"
    (own / "mounts").write_text(mount if version == 1 else f"cgroup2 {root}/cgroup cgroup2 rw 0 0")
    (own / "cgroup").write_text(f"4:memory:{path}\n1:cpu:/x" if version == 1 else f"0::{path}")
    return root / "proc"


def group(directory: Path, version: int, limit: int | None, *, used: int = 0) -> Path:
    """A control group with `used` bytes, and one MiB of inactive pages beside."""
    directory.mkdir(parents=True, exist_ok=True)
    usage = str(used + MIB)
    if version == 1:
        (directory / "memory.limit_in_bytes").write_text(str(limit or UNLIMITED_V1))
        (directory / "memory.usage_in_bytes").write_text(usage)
        (directory / "memory.stat").write_text(f"inactive_file 7\ntotal_inactive_file {MIB}\n")
        (directory / "memory.oom_control").write_text("under_oom 0\noom_kill 3\n")
    else:
        (directory / "memory.max").write_text("max\n" if limit is None else str(limit))
        (directory / "memory.current").write_text(usage)
        (directory / "memory.stat").write_text(f"file 9\ninactive_file {MIB}\n")
        (directory / "memory.events").write_text("max 9\noom 5\noom_kill 3\n")
    (directory / "cgroup.procs").write_text("1\n17\n")
    return directory


@pytest.mark.parametrize("version", [1, 2])
def test_the_working_set_and_the_limit(tmp_path: Path, version: int) -> None:
    own = group(tmp_path / "cgroup" / "ecs" / "task", version, 1024 * MIB, used=300 * MIB)
    found = find(proc=proc(tmp_path, version, "/ecs/task"))
    assert found == ContainerMemory(own, version, 1024 * MIB)
    assert found.read().used == 300 * MIB
    assert found.read().free == 724 * MIB
    assert found.oom_kills() == 3


@pytest.mark.parametrize("version", [1, 2])
def test_the_smallest_limit_on_the_way_up_counts(tmp_path: Path, version: int) -> None:
    above = group(tmp_path / "cgroup" / "task", version, 600 * MIB, used=500 * MIB)
    group(above / "container", version, 900 * MIB, used=100 * MIB)
    found = find(proc=proc(tmp_path, version, "/task/container"))
    assert found == ContainerMemory(above, version, 600 * MIB)


@pytest.mark.parametrize("version", [1, 2])
def test_a_container_that_sees_its_group_as_the_root(tmp_path: Path, version: int) -> None:
    root = group(tmp_path / "cgroup", version, 1024 * MIB)
    found = find(proc=proc(tmp_path, version, "/a/path/of/the/host"))
    assert found == ContainerMemory(root, version, 1024 * MIB)


def test_a_limit_of_version_1_that_only_the_kernel_sees(tmp_path: Path) -> None:
    root = group(tmp_path / "cgroup", 1, None)
    (root / "memory.stat").write_text(f"hierarchical_memory_limit {700 * MIB}\n")
    found = find(proc=proc(tmp_path, 1, "/"))
    assert found is not None
    assert found.limit == 700 * MIB


@pytest.mark.parametrize("version", [1, 2])
def test_where_no_group_has_a_limit_the_task_has(tmp_path: Path, version: int) -> None:
    root = group(tmp_path / "cgroup", version, None, used=100 * MIB)
    place = proc(tmp_path, version, "/")
    assert find(lambda: None, place) is None
    assert find(lambda: TASK, place) == ContainerMemory(root, version, TASK)


def test_a_group_that_is_not_the_container_is_not_taken_for_it(tmp_path: Path) -> None:
    root = group(tmp_path / "cgroup", 2, None, used=100 * MIB)
    place = proc(tmp_path, 2, "/")
    (root / "cgroup.procs").write_text("17\n")
    assert find(lambda: TASK, place) is None, "the container's first process is elsewhere"
    group(tmp_path / "cgroup", 2, None, used=TASK + MIB)
    assert find(lambda: TASK, place) is None, "more is in use than the task has"


def test_without_control_groups_nothing_is_known(tmp_path: Path) -> None:
    assert find(lambda: TASK, tmp_path) is None
    own = proc(tmp_path, 2, "/")
    (own / "self/mounts").write_text("tmpfs /tmp tmpfs rw 0 0")
    assert find(lambda: TASK, own) is None


@pytest.mark.parametrize(("limit", "kept"), [(512, 64), (1024, 81), (16384, 1310)])
def test_what_is_kept_free(limit: int, kept: int) -> None:
    assert reserve(limit * MIB) // MIB == kept


def test_a_real_group() -> None:
    said: list[str] = []
    groups: Cgroups | None = limits_or_none(said.append)
    if groups is None:
        pytest.skip(said[0])
    limited = groups.group("container-memory")
    try:
        limited.limit(0, 200)
        join = "; ".join(f"open({str(procs)!r}, 'w').write('0')" for procs in limited.procs)
        look = (
            f"{join}; taken = bytearray(b'x' * (50 << 20)); "
            f"from {container_memory.__name__} import find; found = find(); "
            "print(found.limit >> 20, found.read().used >> 20, found.oom_kills())"
        )
        answer = subprocess.run(
            [sys.executable, "-c", look], capture_output=True, text=True, check=True
        )
        limit, used, kills = map(int, answer.stdout.split())
        assert (limit, kills) == (200, 0)
        assert 50 <= used < 120
    finally:
        limited.remove()
