"""The language host under the real engine: programs that work, and how those that fail look."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import yaml

from tests.waiting import eventually
from tools.pulumi_cli import PulumiCli, build

pytestmark = pytest.mark.engine

PROGRAM = """\
import pulumi

config = pulumi.Config()
pulumi.ComponentResource("test:index:Thing", config.require("name"))
pulumi.export("shape", config.require_object("shape"))
pulumi.export("hidden", config.require_secret("hidden"))
"""


DEAF = """\
import pathlib, signal, threading

for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
pathlib.Path("deaf").touch()
threading.Event().wait()
"""
"""A program that never ends by itself."""


@dataclass
class Project:
    """A project directory and a backend of its own."""

    directory: Path
    cli: PulumiCli

    def program(self, source: str) -> None:
        (self.directory / "infra" / "__main__.py").write_text(source)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.cli.executable, *arguments, "--non-interactive", "--color=never"],
            cwd=self.directory,
            env={
                **os.environ,
                "PULUMI_BACKEND_URL": f"file://{self.directory / 'backend'}",
                "PULUMI_CONFIG_PASSPHRASE": "test",
                "PULUMI_HOME": str(self.directory / "home"),
                "PULUMI_SKIP_UPDATE_CHECK": "true",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        with self.start(*arguments) as process:
            stdout, stderr = process.communicate()
        return subprocess.CompletedProcess(arguments, process.returncode, stdout, stderr)

    def succeed(self, *arguments: str) -> str:
        result = self.run(*arguments)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    def fail(self, *arguments: str) -> str:
        result = self.run(*arguments)
        assert result.returncode != 0
        return result.stdout + result.stderr


@pytest.fixture
def project(tmp_path: Path, pulumi_cli: PulumiCli) -> Project:
    for name in ("infra", "backend"):
        (tmp_path / name).mkdir()
    runtime = {"name": "python", "options": {"toolchain": "pip", "virtualenv": sys.prefix}}
    settings = {"name": "trial", "runtime": runtime, "main": "infra"}
    (tmp_path / "Pulumi.yaml").write_text(yaml.safe_dump(settings))
    project = Project(tmp_path, pulumi_cli)
    project.succeed("stack", "init", "dev")
    return project


def test_commands_typed_by_hand(project: Project) -> None:
    project.program(PROGRAM)
    project.succeed("config", "set", "name", "one")
    project.succeed("config", "set", "--path", "shape.corners", "4")
    project.succeed("config", "set", "--secret", "hidden", "treasure")
    assert "+ 2 to create" in project.succeed("preview")
    applied = project.succeed("up", "--yes", "--skip-preview")
    assert "corners: 4" in applied
    assert "[secret]" in applied
    assert "treasure" not in applied
    assert project.succeed("stack", "output", "--show-secrets", "hidden").strip() == "treasure"
    assert "2 unchanged" in project.succeed("up", "--yes", "--skip-preview", "--expect-no-changes")
    assert "2 unchanged" in project.succeed("refresh", "--yes", "--skip-preview")
    assert "written in python" in project.succeed("about")
    destroyed = project.succeed("destroy", "--yes", "--skip-preview", "--run-program")
    assert "- 2 deleted" in destroyed
    assert "warning" not in applied + destroyed


def test_the_program_knows_which_config_is_secret(project: Project) -> None:
    asks = "[is_config_secret(f'trial:{key}') for key in ('hidden', 'name')]"
    project.program(f"from pulumi.runtime.config import is_config_secret\nprint({asks})\n")
    project.succeed("config", "set", "name", "one")
    project.succeed("config", "set", "--secret", "hidden", "treasure")
    assert "[True, False]" in project.succeed("preview")


def test_a_run_error_shows_its_message_and_no_traceback(project: Project) -> None:
    project.program("import pulumi\nraise pulumi.RunError('two errors:\\n  a: bad\\n  b: worse')\n")
    shown = project.fail("preview")
    assert "error: two errors:\n      a: bad\n      b: worse\n" in shown
    assert "Traceback" not in shown


def test_an_exit_with_32_shows_what_the_program_logged_and_nothing_else(project: Project) -> None:
    project.program("import pulumi, sys\npulumi.log.error('it is wrong')\nsys.exit(32)\n")
    shown = project.fail("preview")
    assert "error: it is wrong" in shown
    assert "unhandled" not in shown


def test_a_crash_shows_the_programs_own_frames_only(project: Project) -> None:
    project.program("def load():\n    return {}['gone']\n\nload()\n")
    shown = project.fail("preview")
    assert "KeyError: 'gone'" in shown
    assert "in load" in shown
    assert "unhandled exception" in shown
    assert "runpy" not in shown
    assert str(build.MODULE) not in shown


def test_a_missing_virtual_environment_is_named(project: Project) -> None:
    settings = project.directory / "Pulumi.yaml"
    settings.write_text(settings.read_text().replace(sys.prefix, ".missing"))
    project.program(PROGRAM)
    assert ".missing" in project.fail("preview")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ends_quietly_on_the_engines_signal(number: signal.Signals) -> None:
    command: Sequence[str] = [
        sys.executable,
        str(build.LANGUAGE_HOST),
        "--use-executor=unused",
        "127.0.0.1:1",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as host:
        assert host.stdout is not None
        assert host.stderr is not None
        assert int(host.stdout.readline()) > 0
        host.send_signal(number)
        assert (host.wait(10), host.stderr.read()) == (0, b"")


@pytest.fixture
def hung(project: Project) -> Iterator[subprocess.Popen[str]]:
    """A `pulumi up` whose program takes no notice of anything."""
    project.program(DEAF)
    with project.start("up", "--yes", "--skip-preview") as cli:
        eventually((project.directory / "infra" / "deaf").exists, "the program runs")
        family = psutil.Process(cli.pid).children(recursive=True)
        yield cli
        cli.kill()
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


@pytest.mark.parametrize("victims", ["engine", "engine and host"])
def test_a_program_that_hangs_ends_when_others_are_killed(
    hung: subprocess.Popen[str], victims: str
) -> None:
    engine = psutil.Process(hung.pid)
    [host] = engine.children()
    [program] = host.children()
    for name, process in {"engine": engine, "host": host}.items():
        if name in victims:
            process.kill()
    _, alive = psutil.wait_procs([host, program], timeout=10)
    assert alive == []


def test_a_program_that_hangs_ends_with_a_host_that_is_told_to(
    hung: subprocess.Popen[str],
) -> None:
    [host] = psutil.Process(hung.pid).children()
    [program] = host.children()
    host.terminate()
    _, alive = psutil.wait_procs([host, program], timeout=3)
    assert alive == []
