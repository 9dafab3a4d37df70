"""Control groups on pretended machines; the real ones are used in test_runner."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from localaws.ecs import cgroups
from localaws.ecs.cgroups import Cgroups, Group, Hierarchy, detect, limits_or_none


def machine(tmp_path: Path, mounts: str, own: str) -> Path:
    """A /proc, and a cgroup file system below `tmp_path`."""
    proc = tmp_path / "proc"
    (proc / "self").mkdir(parents=True)
    (proc / "self/mounts").write_text(mounts.replace("/sys", f"{tmp_path}/sys"))
    (proc / "self/cgroup").write_text(own)
    return proc


V1_MOUNTS = """\
proc /proc proc rw 0 0
cgroup /sys/cpu,cpuacct cgroup rw,relatime,cpu,cpuacct 0 0
cgroup /sys/memory cgroup rw,relatime,memory 0 0
cgroup2 /sys/unified cgroup2 rw 0 0
"""
V1_OWN = "4:memory:/outer/me\n1:cpu,cpuacct:/hidden\n0::/\n"


def test_version_1_below_the_own_group_where_it_is_visible(tmp_path: Path) -> None:
    proc = machine(tmp_path, V1_MOUNTS, V1_OWN)
    (tmp_path / "sys/memory/outer/me").mkdir(parents=True)
    (tmp_path / "sys/cpu,cpuacct").mkdir()
    assert detect(proc) == Hierarchy(
        1, tmp_path / "sys/cpu,cpuacct", tmp_path / "sys/memory/outer/me"
    )


def test_version_1_limits(tmp_path: Path) -> None:
    hierarchy = Hierarchy(1, tmp_path / "cpu", tmp_path / "memory")
    for root in hierarchy.roots:
        root.mkdir()
    group = Group(hierarchy, "g")
    group.limit(256, 512)
    assert (tmp_path / "cpu/g/cpu.cfs_quota_us").read_text() == "25000"
    assert (tmp_path / "cpu/g/cpu.cfs_period_us").read_text() == "100000"
    assert (tmp_path / "memory/g/memory.limit_in_bytes").read_text() == str(512 * 1024 * 1024)
    assert group.procs == [tmp_path / "cpu/g/cgroup.procs", tmp_path / "memory/g/cgroup.procs"]
    events = tmp_path / "memory/g/memory.oom_control"
    events.write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 0\n")
    assert not group.out_of_memory()
    events.write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
    assert group.out_of_memory()


def test_version_2_limits(tmp_path: Path) -> None:
    root = tmp_path / "sys/me"
    root.mkdir(parents=True)
    proc = machine(tmp_path, "cgroup2 /sys cgroup2 rw 0 0\n", "0::/me\n")
    hierarchy = detect(proc)
    assert hierarchy == Hierarchy(2, root, root)
    assert (root / "cgroup.subtree_control").read_text() == "+cpu +memory"
    task = Group(hierarchy, "t")
    task.limit(4096, 16384)
    task.allow_children()
    assert (root / "t/cpu.max").read_text() == "400000 100000"
    assert (root / "t/memory.max").read_text() == str(16384 * 1024 * 1024)
    container = Group(task.hierarchy, "main")
    container.limit(0, 0)
    assert os.listdir(root / "t/main") == []
    assert container.procs == [root / "t/main/cgroup.procs"]
    (root / "t/main/memory.events").write_text("low 0\noom 1\noom_kill 1\n")
    assert container.out_of_memory()


def test_one_plain_line_where_there_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proc = machine(tmp_path, "proc /proc proc rw 0 0\n", "0::/\n")
    monkeypatch.setattr(cgroups, "detect", lambda: detect(proc))
    said: list[str] = []
    assert limits_or_none(said.append) is None
    (line,) = said
    assert line.startswith("CPU and memory limits of tasks are off on this machine: no control")
    assert "\n" not in line


def test_groups_of_killed_accounts_are_swept_and_those_of_living_ones_kept(tmp_path: Path) -> None:
    dead, alive = tmp_path / "localaws-999999999-x", tmp_path / "localaws-1-x"
    (dead / "main").mkdir(parents=True)
    alive.mkdir()
    Cgroups(Hierarchy(2, tmp_path, tmp_path))
    assert not dead.exists()
    assert alive.exists()
