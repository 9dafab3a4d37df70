"""The file that a shell sources."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml
from pulumi.automation import PulumiCommand

from tests.tools.conftest import Program
from tools.local.account import Account
from tools.local.environment import PASSPHRASE, pulumi_environment, write_environment
from tools.local.files import CHECKOUT, LocalFiles
from tools.pulumi_cli import Origin, PulumiCli

ACCOUNT = Account(
    pid=1,
    endpoint_url="http://127.0.0.1:5000",
    provider_port=6000,
    dns="127.0.0.1:7000",
    environment={"AWS_ENDPOINT_URL": "http://127.0.0.1:5000", "AWS_REGION": "us-east-1"},
)


def sourced(path: Path, expression: str) -> str:
    script = f'. "{path}" && printf %s "{expression}"'
    return subprocess.run(
        ["sh", "-c", script], capture_output=True, text=True, check=True, env={"PATH": "/bin"}
    ).stdout


@pytest.fixture
def files(tmp_path: Path) -> LocalFiles:
    directory = tmp_path / "it's a directory"
    directory.mkdir()
    return LocalFiles(directory)


@pytest.mark.parametrize(
    ("origin", "path"), [(Origin.BUILT, "/cache/it's/bin:/bin"), (Origin.PATH, "/bin")]
)
def test_a_shell_gets_every_variable(
    files: LocalFiles, programs: Program, origin: Origin, path: str
) -> None:
    programs("pulumi", "echo v3.270.1")
    cli = PulumiCli(PulumiCommand(), Path("/cache/it's/bin/pulumi"), origin)
    variables = pulumi_environment(files, ACCOUNT)
    write_environment(files.environment, variables, cli)
    for name, value in variables.items():
        assert sourced(files.environment, f"${name}") == value
    assert sourced(files.environment, "$PATH") == path


def test_points_the_engine_at_account_and_backend(files: LocalFiles) -> None:
    variables = pulumi_environment(files, ACCOUNT)
    assert variables["PULUMI_DEBUG_PROVIDERS"] == "aws:6000"
    assert variables["PULUMI_BACKEND_URL"] == f"file://{files.backend}"
    assert variables["AWS_ENDPOINT_URL"] == "http://127.0.0.1:5000"
    assert Path(variables["PULUMI_HOME"]).parent == files.directory


@pytest.mark.engine
def test_the_committed_salt_belongs_to_the_passphrase(
    pulumi_cli: PulumiCli, tmp_path: Path
) -> None:
    """Otherwise `pulumi stack init` would write another one and dirty the checkout."""
    committed = (CHECKOUT / "stacks" / "Pulumi.local.yaml").read_text()
    salt = yaml.safe_load(committed)["encryptionsalt"]
    (tmp_path / "Pulumi.yaml").write_text("name: run-isolation\nruntime: python\n")
    (tmp_path / "Pulumi.local.yaml").write_text(f"encryptionsalt: {salt}\n")
    (tmp_path / "backend").mkdir()
    environment = {
        "PATH": "/usr/bin:/bin",
        "PULUMI_BACKEND_URL": f"file://{tmp_path / 'backend'}",
        "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
        "PULUMI_HOME": str(tmp_path / "home"),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }
    for arguments in (["stack", "init", "local"], ["config", "set", "--secret", "key", "value"]):
        result = subprocess.run(
            [pulumi_cli.executable, *arguments, "--non-interactive"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr
    written = yaml.safe_load((tmp_path / "Pulumi.local.yaml").read_text())
    assert written["encryptionsalt"] == salt
