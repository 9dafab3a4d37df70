"""Which CLI is taken, and what the error says where there is none."""

from __future__ import annotations

import os

import pytest

from tests.tools.conftest import Program
from tests.tools.pulumi_cli.conftest import FakeGo
from tools.pulumi_cli import Origin, PulumiCliError, build, ensure_pulumi

HOST = "pulumi-language-python"


def test_takes_the_cli_on_path_and_builds_nothing(programs: Program, go: FakeGo) -> None:
    executable = programs("pulumi", "echo v3.270.1")
    programs(HOST, "")
    cli = ensure_pulumi()
    assert (cli.executable, cli.origin, cli.version) == (executable, Origin.PATH, "3.270.1")
    assert go.calls("build") == []


def test_takes_a_linked_cli_whose_host_is_beside_the_real_one(
    programs: Program, go: FakeGo
) -> None:
    link = programs("pulumi", "")
    real = link.parent / "cellar" / "pulumi"
    real.parent.mkdir()
    real.write_text("#!/bin/sh\necho v3.270.1\n")
    real.chmod(0o755)
    (real.parent / HOST).touch()
    link.unlink()
    link.symlink_to(real)
    assert ensure_pulumi().origin is Origin.PATH


@pytest.mark.parametrize("answer", ["echo v2.25.2", "echo nonsense", "exit 3"])
def test_passes_over_a_cli_on_path_that_cannot_be_used(
    programs: Program, go: FakeGo, answer: str
) -> None:
    programs("pulumi", answer)
    programs(HOST, "")
    assert ensure_pulumi().origin is Origin.BUILT


def test_passes_over_a_cli_without_a_python_language_host(programs: Program, go: FakeGo) -> None:
    programs("pulumi", "echo v3.270.1")
    assert ensure_pulumi().origin is Origin.BUILT


def test_builds_once_and_takes_the_build_from_the_cache_then(go: FakeGo) -> None:
    first, second = ensure_pulumi(), ensure_pulumi()
    assert first.executable == second.executable
    assert second.version == build.pinned_version().removeprefix("v")
    assert len(go.calls("build")) == 1


def test_does_not_take_its_own_cached_cli_for_one_of_the_user(
    go: FakeGo, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = ensure_pulumi().executable.parent
    monkeypatch.setenv("PATH", f"{directory}{os.pathsep}{os.environ['PATH']}")
    assert ensure_pulumi().origin is Origin.BUILT


def test_error_says_why_each_way_failed_and_how_to_mend_it(programs: Program) -> None:
    programs("pulumi", "echo v3.270.1")
    with pytest.raises(PulumiCliError) as error:
        ensure_pulumi()
    text = str(error.value)
    for part in (
        "has no Python language host (pulumi-language-python)",
        "gave no answer within 3 s",
        "there is no `go` on PATH",
        "https://www.pulumi.com/docs/install/",
        "https://go.dev/doc/install",
    ):
        assert part in text
