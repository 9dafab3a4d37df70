"""A forked command is to its container what the command itself would be."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from localaws.ecs.cgroups import limits_or_none
from tests.waiting import eventually
from tests.warm_tasks import warm_tasks

Begin = Callable[..., subprocess.Popen[str]]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("warm") / "bin"
    module = "tests.warm_tasks.cold"
    with warm_tasks(directory, {}, {"it": module}, server=module) as path:
        yield path


@pytest.fixture
def begin(path: str, tmp_path: Path) -> Iterator[Begin]:
    begun: list[subprocess.Popen[str]] = []

    def begin(what: str, *groups: Path) -> subprocess.Popen[str]:
        program = str(Path(path.split(os.pathsep)[0]) / "it")
        join = 'for file in "$@"; do echo $$ > "$file"; done; exec "$0" ' + what
        process = subprocess.Popen(
            ["sh", "-c", join, program, *map(str, groups)],
            cwd=tmp_path,
            env={"TOLD": "by the container", "PATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        begun.append(process)
        return process

    yield begin
    for process in begun:
        process.kill()
        process.communicate()


def pids(process: subprocess.Popen[str]) -> list[int]:
    """The command's, and that of what it has started."""
    assert process.stdout
    return [int(pid) for pid in process.stdout.readline().split()]


def gone(pids: list[int]) -> bool:
    return not any(psutil.pid_exists(pid) for pid in pids)


def test_it_has_all_that_the_container_gives_and_its_exit_code(
    begin: Begin, tmp_path: Path
) -> None:
    process = begin("tell")
    _, said = process.communicate()
    assert said == f"by the container {tmp_path} ['it', 'tell']\n"
    assert process.returncode == 7


def test_sigterm_reaches_it(begin: Begin) -> None:
    process = begin("wait")
    started = pids(process)
    process.terminate()
    process.communicate()
    assert process.returncode == 3
    assert gone(started)


def test_one_that_is_killed_says_so(begin: Begin) -> None:
    process = begin("die")
    process.communicate()
    assert process.returncode == 128 + signal.SIGKILL


def test_nothing_outlives_the_container(begin: Begin) -> None:
    process = begin("wait")
    started = pids(process)
    process.kill()
    eventually(lambda: gone(started), "all processes of the command are gone")


def test_what_it_leaves_is_gone_before_it_is_over(begin: Begin) -> None:
    process = begin("leave")
    started = pids(process)
    process.communicate()
    assert process.returncode == 0
    assert gone(started)


def test_it_is_in_the_containers_control_groups(begin: Begin) -> None:
    said: list[str] = []
    groups = limits_or_none(said.append)
    if groups is None:
        pytest.skip(said[0])
    name = f"warm-{os.getpid()}"
    group = groups.group(name)
    try:
        shown, _ = begin("show", *group.procs).communicate()
    finally:
        group.remove()
    assert shown.count(name) == len(group.procs), shown
