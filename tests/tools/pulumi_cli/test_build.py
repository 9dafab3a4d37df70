"""The build from Go modules, with a Go that is a shell script."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from filelock import FileLock
from rich.console import Console

from tests.tools.conftest import Program
from tests.tools.pulumi_cli.conftest import FakeGo
from tools.pulumi_cli import build
from tools.pulumi_cli.errors import UnavailableError

QUIET = Console(quiet=True)


def test_builds_the_pinned_packages_and_sets_the_version(go: FakeGo) -> None:
    build.build(QUIET)
    [call] = go.calls("build")
    assert call.startswith(f"{build.MODULE}: build -mod=readonly")
    version = (
        f"-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version={build.pinned_version()}"
    )
    assert version in call
    assert call.endswith(" github.com/pulumi/pulumi/pkg/v3/cmd/pulumi")


def test_puts_a_language_host_beside_the_cli(go: FakeGo) -> None:
    root = build.build(QUIET)
    launcher = root / "bin" / "pulumi-language-python"
    assert launcher.stat().st_mode & 0o111
    executor = root.parent / "pulumi-language-python-exec"
    assert str(executor) in launcher.read_text()
    assert executor.read_text() == "# runs a program\n"


def test_each_interpreter_has_its_own_host_and_shares_the_build(
    go: FakeGo, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = build.build(QUIET)
    monkeypatch.setattr("sys.executable", "/elsewhere/bin/python")
    other = build.build(QUIET)
    assert one != other
    assert "/elsewhere/bin/python" in (other / "bin" / "pulumi-language-python").read_text()
    assert len(go.calls("build")) == 1


def test_callers_at_the_same_time_build_once(go: FakeGo) -> None:
    with ThreadPoolExecutor(4) as pool:
        roots = set(pool.map(lambda _: build.build(QUIET), range(4)))
    assert len(roots) == 1
    assert len(go.calls("build")) == 1


def test_a_failed_build_leaves_nothing_and_says_why(programs: Program, tmp_path: Path) -> None:
    half = 'while [ "$1" != -o ]; do shift; done; echo half > "$2/pulumi"'
    programs("go", f"{half}; echo 'verifying module: checksum mismatch' >&2; exit 1")
    with pytest.raises(UnavailableError, match="checksum mismatch") as error:
        build.build(QUIET)
    assert build.built() is None
    left = [path for path in (tmp_path / "cache").rglob("*") if path.is_dir()]
    assert {path.name for path in left} == {"run-isolation", "pulumi"}
    [log] = (tmp_path / "cache").rglob("*.log")
    assert str(log) in str(error.value)


def test_a_build_that_hangs_is_ended(
    programs: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(build, "PATIENCE", 0.5)
    programs("go", "exec sleep 60")
    with pytest.raises(UnavailableError, match=r"`go build` did not end in 0.5 s. .*GOPROXY"):
        build.build(QUIET)


def test_another_build_that_hangs_is_not_waited_for(
    go: FakeGo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home = build.build(QUIET).parent
    shutil.rmtree(home)
    monkeypatch.setattr(build, "PATIENCE", 0.1)
    with (
        FileLock(f"{home}.lock"),
        pytest.raises(UnavailableError, match="another build did not end"),
    ):
        build.build(QUIET)


def test_other_pins_are_another_build(
    go: FakeGo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = build.build(QUIET)
    pins = tmp_path / "pins"
    pins.mkdir()
    (pins / "go.mod").write_text((build.MODULE / "go.mod").read_text())
    (pins / "go.sum").write_text("other\n")
    monkeypatch.setattr(build, "MODULE", pins)
    assert build.built() is None
    assert build.build(QUIET) != first
