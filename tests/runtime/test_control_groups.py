"""Which groups a process is in, told from made up mounts of either version."""

from __future__ import annotations

from pathlib import Path

import pytest

from run_isolation.control_groups import ControlGroups, own_groups, values


def proc(root: Path, mounts: str, groups: str) -> Path:
    own = root / "proc" / "self"
    own.mkdir(parents=True)
    (own / "mounts").write_text(mounts)
    (own / "cgroup").write_text(groups)
    return root / "proc"


def test_where_both_versions_are_mounted_the_controller_says_which(tmp_path: Path) -> None:
    mounts = f"c {tmp_path}/two cgroup2 rw 0 0\nc {tmp_path}/cpu cgroup rw,cpu,cpuacct 0 0\n"
    there = proc(tmp_path, mounts, "3:cpu,cpuacct:/task\n0::/task\n")
    (tmp_path / "cpu" / "task").mkdir(parents=True)
    assert own_groups("cpu", there) == ControlGroups(1, [tmp_path / "cpu/task", tmp_path / "cpu"])
    assert own_groups("memory", there) == ControlGroups(2, [tmp_path / "two"])


@pytest.mark.parametrize("mounts", ["", "tmpfs /tmp tmpfs rw 0 0\n"])
def test_without_a_mount_there_are_none(tmp_path: Path, mounts: str) -> None:
    assert own_groups("cpu", proc(tmp_path, mounts, "0::/\n")) is None
    assert own_groups("cpu", tmp_path / "nowhere") is None


def test_lines_that_are_no_name_and_number_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "stat").write_text("file 7\n\nodd line here\n")
    assert values(tmp_path / "stat") == {"file": 7}
