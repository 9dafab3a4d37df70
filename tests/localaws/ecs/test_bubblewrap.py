"""Tasks apart: what a container finds, and what it can't find or do."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from localaws.ecs.bubblewrap import Bubblewrap, sandboxes
from localaws.ecs.images import Image, ImageConfig
from localaws.ecs.process import ContainerProcess
from localaws.ecs.sandbox import ContainerFiles, NoSandbox
from tests.waiting import eventually


class Box:
    """A sandbox, and what its commands said."""

    def __init__(self, directory: Path, number: int = 1, **more: Any) -> None:
        (directory / "image").mkdir(parents=True, exist_ok=True)
        (directory / "image" / "code.txt").write_text("code")
        user = 3_000_000 + number
        self.files = ContainerFiles(
            image=Image(directory / "image", ImageConfig(), Path(sys.prefix)),
            own=directory / str(number),
            address=f"127.65.0.{number}",
            user=user,
            **more,
        )
        self.sandbox = Bubblewrap(self.files)
        self.more: dict[str, str] = {}
        self.said: list[bytes] = []

    def start(self, script: str) -> ContainerProcess:
        environment = self.sandbox.environment | self.more
        start = self.sandbox.start(["sh", "-c", script], "/app", environment)
        return ContainerProcess(start, on_output=self.said.append)

    def enter(self, script: str) -> ContainerProcess:
        start = self.sandbox.enter(["sh", "-c", script], "/app")
        return ContainerProcess(start, on_output=self.said.append)

    def output(self, script: str) -> list[str]:
        process = self.start(script)
        assert process.wait(20) == 0, self.text
        return self.text.splitlines()

    @property
    def text(self) -> str:
        return b"".join(self.said).decode()


@pytest.fixture(scope="module", autouse=True)
def available(tmp_path_factory: pytest.TempPathFactory) -> None:
    said: list[str] = []
    if sandboxes(tmp_path_factory.mktemp("trial") / "trial", said.append) is NoSandbox:
        pytest.skip(said[0])


def test_it_has_its_images_user_and_a_kernel_user_of_its_own(tmp_path: Path) -> None:
    box = Box(tmp_path)
    name, number, home = box.output("id -un; id -u; cd; pwd")
    assert (name, int(number), home) == ("dagster", box.files.user, "/home/dagster")


def test_its_image_is_read_only_and_its_own_places_are_not(tmp_path: Path) -> None:
    script = "cat code.txt; echo; touch mine /mine /usr/mine 2>&1 | grep -c 'Read-only'; "
    script += "touch ~/mine /tmp/mine /var/tmp/mine /dev/shm/mine && echo written"
    assert Box(tmp_path).output(script) == ["code", "3", "written"]


def test_it_finds_neither_this_checkout_nor_the_account_nor_other_tasks(tmp_path: Path) -> None:
    other = Box(tmp_path, 2)
    assert other.start("echo mine > /tmp/secret").wait(20) == 0
    kept = tmp_path / "2" / "tmp" / "secret"
    assert kept.read_text() == "mine\n"
    checkout = Path(__file__).parents[3]
    paths = [checkout / "tests", tmp_path, kept, "/tmp/secret", Path.home() / ".bashrc"]
    script = "; ".join(f"test -e {path} && echo {path}" for path in paths)
    assert Box(tmp_path).output(f"{script}; ls /tmp") == []


def test_it_sees_its_own_processes_only_and_is_the_first(tmp_path: Path) -> None:
    lines = Box(tmp_path).output("echo $$; ls /proc | grep -c '^[0-9]'")
    assert lines[0] == "1"
    assert int(lines[1]) <= 4


TRIES = """
import os, sys
for attempt in (
    lambda: os.kill(int(sys.argv[1]), 0),
    lambda: open(f"/proc/{sys.argv[1]}/environ").read(),
    lambda: open(f"/proc/{sys.argv[1]}/mem", "rb"),
    lambda: os.listdir(f"/proc/{sys.argv[1]}/cwd"),
):
    try:
        attempt()
    except PermissionError:
        print("denied")
"""


def test_another_tasks_user_could_do_nothing_to_it_even_where_it_saw_it(tmp_path: Path) -> None:
    """On Fargate another task is on another machine."""
    victim, another = Box(tmp_path, 1), Box(tmp_path, 2).files.user
    process = victim.start("sleep 60")
    supervisor = psutil.Process(process.pid)

    def sleeping() -> list[psutil.Process]:
        return [one for one in supervisor.children(recursive=True) if one.name() == "sleep"]

    eventually(lambda: len(sleeping()) == 1)
    argv = ["/usr/bin/python3", "-c", TRIES, str(sleeping()[0].pid)]
    done = subprocess.run(
        argv, user=another, group=another, extra_groups=[], cwd="/", capture_output=True, text=True
    )
    assert done.stdout.split() == ["denied"] * 4, done.stderr
    process.kill()
    process.wait(20)


def test_its_environment_reaches_nothing_that_runs_as_root(tmp_path: Path) -> None:
    box = Box(tmp_path)
    # The dynamic linker complains of it in each program that is told of it.
    box.more = {"LD_PRELOAD": "/nowhere.so", "MY_NAME": "a 'quoted' $value", "EMPTY": ""}
    process = box.start("unset LD_PRELOAD; env; cat /proc/1/cmdline; exec sleep 60")
    eventually(lambda: "EMPTY=" in box.text)
    complaints = [line.split(":")[0] for line in box.text.splitlines() if "nowhere.so" in line]
    assert complaints == ["ERROR"], "the command's own shell"
    assert "MY_NAME=a 'quoted' $value" in box.text.splitlines()
    supervisor = psutil.Process(process.pid)
    outside = [supervisor, *supervisor.children(recursive=True)]
    for one in outside:
        if one.uids().real == 0:
            # Python's own (PEP 538).
            assert one.environ().keys() <= {"LC_CTYPE"}, one.cmdline()
        assert "quoted" not in " ".join(one.cmdline()).replace("sh -c", ""), one.cmdline()
    process.kill()
    process.wait(20)


def ended(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_nothing_of_it_outlives_its_supervisor(tmp_path: Path) -> None:
    box = Box(tmp_path)
    process = box.start("echo up; sleep 60")
    eventually(lambda: "up" in box.text)
    inside = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait(20) == 128 + signal.SIGKILL
    # Nobody may collect them here; they have ended all the same.
    eventually(lambda: all(ended(one) for one in inside))


def test_it_has_no_capability(tmp_path: Path) -> None:
    lines = Box(tmp_path).output("grep Cap /proc/self/status")
    assert {line.split()[1] for line in lines} == {"0" * 16}


@pytest.mark.parametrize("init", [False, True])
def test_orders_reach_the_command_also_behind_an_init(tmp_path: Path, init: bool) -> None:
    box = Box(tmp_path, init=init)
    process = box.start("trap 'echo told; exit 7' TERM; echo up; while :; do sleep 0.05; done")
    eventually(lambda: "up" in box.text)
    process.terminate()
    assert process.wait(20) == 7
    assert box.text.split() == ["up", "told"]


def test_an_init_collects_what_is_left_and_the_first_process_takes_signals_it_wants_only(
    tmp_path: Path,
) -> None:
    # https://man7.org/linux/man-pages/man7/pid_namespaces.7.html
    alone = Box(tmp_path, 1)
    process = alone.start("echo up; while :; do sleep 0.05; done")
    eventually(lambda: "up" in alone.text)
    process.terminate()
    assert process.wait(0.3) is None
    process.kill()
    assert process.wait(20) == 137
    behind = Box(tmp_path, 2, init=True)
    process = behind.start("echo up; while :; do sleep 0.05; done")
    eventually(lambda: "up" in behind.text)
    process.terminate()
    assert process.wait(20) == 128 + signal.SIGTERM


def test_a_health_check_runs_beside_the_command(tmp_path: Path) -> None:
    box = Box(tmp_path)
    assert box.enter("true").wait(20) == 1, "there is nothing to enter yet"
    process = box.start("touch /tmp/here; echo up; sleep 60")
    eventually(lambda: "up" in box.text)
    check = box.enter("test -e /tmp/here && kill -0 1 && id -u && pwd")
    assert check.wait(20) == 0, box.text
    assert box.text.split()[1:] == [str(box.files.user), "/app"]
    process.kill()
    process.wait(20)


def test_a_shared_directory_belongs_to_each_of_them(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    with sqlite3.connect(shared / "runs.db") as database:
        database.execute("CREATE TABLE runs (id)")
    insert = "import sqlite3; c = sqlite3.connect('runs.db'); "
    insert += "c.execute('INSERT INTO runs VALUES (1)'); c.commit()"
    for number in (1, 2):
        box = Box(tmp_path, number, mounts={str(shared): shared})
        box.output(f'cd {shared} && python -c "{insert}" && touch by-{number}')
    with sqlite3.connect(shared / "runs.db") as database:
        assert database.execute("SELECT count(*) FROM runs").fetchone() == (2,)
    assert {path.stat().st_uid for path in shared.iterdir()} == {0}


def test_without_root_one_line_says_what_is_not_proved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert sandboxes(tmp_path / "trial", said.append) is NoSandbox
    [line] = said
    assert "Tasks are not kept apart on this machine: that needs root." in line
