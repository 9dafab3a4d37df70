"""The environments of images: what they have, and what they must not have."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools import environments
from tools.environments import EnvironmentFailedError, ensure_environment

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]


def said(environment: Path, program: str) -> str:
    done = subprocess.run(
        [environment / "bin" / "python", "-c", program], capture_output=True, text=True, cwd="/"
    )
    return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


def test_it_has_the_runtime_and_nothing_that_this_checkout_alone_has() -> None:
    environment = ensure_environment("code-location")
    installed = Path(said(environment, "import run_isolation as it; print(it.__file__)"))
    assert installed.is_relative_to(environment)
    assert said(environment, "import dagster_aws, dagster_postgres, psutil; print('ok')") == "ok"
    for development in ("pytest", "pulumi", "moto", "infra", "tests"):
        assert "ModuleNotFoundError" in said(environment, f"import {development}")


def test_a_second_call_installs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = ensure_environment("code-location")
    monkeypatch.setattr(environments, "_run", lambda command: pytest.fail(f"runs {command}"))
    assert ensure_environment("code-location") == environment


def test_what_pip_says_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = tmp_path / "images" / "wrong"
    wrong.mkdir(parents=True)
    (wrong / "requirements.txt").write_text("run-isolation==0.0.0 --hash=sha256:00\n")
    monkeypatch.setattr(environments, "CHECKOUT", tmp_path)
    with pytest.raises(EnvironmentFailedError, match=r"run-isolation==0\.0\.0"):
        ensure_environment("wrong", tmp_path / "environments")
