"""The CPU share is read from both kinds of cgroups, and less than one CPU has its manners."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from run_isolation.dagster.warm import cpu_manners


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def share(directory: Path, own: str, mount: str) -> float | None:
    """As a process in these groups sees it, with one hierarchy mounted."""
    write(directory / "proc" / "self" / "cgroup", own)
    write(directory / "proc" / "self" / "mounts", f"cgroup {directory}/cgroup{mount} 0 0\n")
    return cpu_manners.cgroup_share(directory / "proc")


def test_the_smallest_quota_on_the_way_up_counts_in_version_2(tmp_path: Path) -> None:
    write(tmp_path / "cgroup" / "task" / "cpu.max", "25000 100000\n")
    write(tmp_path / "cgroup" / "task" / "container" / "cpu.max", "max 100000\n")
    assert share(tmp_path, "0::/task/container\n", " cgroup2 rw") == 0.25


@pytest.mark.parametrize("mount", ["cpu", "cpu,cpuacct"])
def test_a_quota_counts_in_version_1(tmp_path: Path, mount: str) -> None:
    write(tmp_path / "cgroup" / mount / "task" / "cpu.cfs_quota_us", "50000\n")
    write(tmp_path / "cgroup" / mount / "task" / "cpu.cfs_period_us", "100000\n")
    options = f"/{mount} cgroup rw,cpu,cpuacct"
    assert share(tmp_path, "4:memory:/task\n3:cpu,cpuacct:/task\n", options) == 0.5


def test_without_a_quota_there_is_no_share(tmp_path: Path) -> None:
    write(tmp_path / "cgroup" / "cpu" / "cpu.cfs_quota_us", "-1\n")
    write(tmp_path / "cgroup" / "cpu" / "cpu.cfs_period_us", "100000\n")
    assert share(tmp_path, "1:cpu:/\n0::/\n", "/cpu cgroup rw,cpu") is None


@pytest.mark.parametrize(("share", "pinned"), [(0.25, True), (1.0, False), (None, False)])
def test_below_one_cpu_a_run_keeps_to_one(
    monkeypatch: pytest.MonkeyPatch, share: float | None, pinned: bool
) -> None:
    monkeypatch.setattr(cpu_manners, "task_share", lambda: None)
    monkeypatch.setattr(cpu_manners, "cgroup_share", lambda: share)
    assert (cpu_manners.manners() is not None) == pinned


def test_a_thread_goes_before_runs_on_their_cpu_and_only_then() -> None:
    everywhere = os.sched_getaffinity(0)
    with cpu_manners.Manners(max(everywhere)).before_runs():
        assert os.sched_getaffinity(0) == {max(everywhere)}
    assert os.sched_getaffinity(0) == everywhere
