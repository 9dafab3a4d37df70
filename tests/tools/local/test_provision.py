"""Failures of the real engine as `make up` shows them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from tools.local import engine
from tools.local.account import Account
from tools.local.engine import provision
from tools.local.environment import pulumi_environment, write_environment
from tools.local.errors import StepError
from tools.local.files import LocalFiles
from tools.pulumi_cli import PulumiCli

pytestmark = pytest.mark.engine

QUIET = Console(quiet=True)
NO_ACCOUNT = Account(pid=1, endpoint_url="", provider_port=1, dns="", environment={})


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalFiles:
    """Files of a checkout whose program is `program.py` of the test."""
    checkout = tmp_path / "checkout"
    (checkout / "infra").mkdir(parents=True)
    runtime = {"name": "python", "options": {"virtualenv": sys.prefix}}
    project = {"name": "trial", "runtime": runtime, "main": "infra"}
    (checkout / "Pulumi.yaml").write_text(yaml.safe_dump(project))
    monkeypatch.setattr(engine, "CHECKOUT", checkout)
    return LocalFiles(checkout / ".local")


def write_program(files: LocalFiles, source: str) -> None:
    (files.directory.parent / "infra" / "__main__.py").write_text(f"import pulumi\n{source}\n")


def test_counts_what_it_did(files: LocalFiles, pulumi_cli: PulumiCli) -> None:
    write_program(files, "pulumi.ComponentResource('test:index:Thing', 'one')")
    variables = pulumi_environment(files, NO_ACCOUNT)
    assert provision(pulumi_cli, files, variables, QUIET) == {"created": 2}
    assert provision(pulumi_cli, files, variables, QUIET) == {"unchanged": 2}
    assert "2 unchanged" in files.pulumi_log.read_text()


def test_destroy_typed_by_hand_runs_the_program_for_its_hooks(
    files: LocalFiles, pulumi_cli: PulumiCli
) -> None:
    write_program(files, "open('ran', 'a').close()")
    variables = pulumi_environment(files, NO_ACCOUNT)
    provision(pulumi_cli, files, variables, QUIET)
    ran = files.directory.parent / "infra" / "ran"
    ran.unlink()
    write_environment(files.environment, variables, pulumi_cli)
    command = f"source '{files.environment}' && pulumi destroy --yes --skip-preview"
    subprocess.run(["bash", "-c", command], check=True, cwd=files.directory.parent)
    assert ran.exists()


def test_a_bad_config_is_the_reason_and_the_whole_output_is_in_the_log(
    files: LocalFiles, pulumi_cli: PulumiCli
) -> None:
    write_program(files, "print('checking')\nraise pulumi.RunError('image: there is none')")
    with pytest.raises(StepError) as error:
        provision(pulumi_cli, files, pulumi_environment(files, NO_ACCOUNT), QUIET)
    assert error.value.reason.startswith("image: there is none")
    assert error.value.log == files.pulumi_log
    assert "checking" in files.pulumi_log.read_text()


def test_a_stack_that_is_held_says_how_to_free_it(files: LocalFiles, pulumi_cli: PulumiCli) -> None:
    write_program(files, "")
    variables = pulumi_environment(files, NO_ACCOUNT)
    provision(pulumi_cli, files, variables, QUIET)
    # As an update leaves it that was killed.
    lock = files.backend / ".pulumi/locks/organization/trial/local/killed.json"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.write_text(json.dumps({"pid": 1, "username": "me", "hostname": "here"}))
    with pytest.raises(StepError, match="another pulumi command holds the stack") as error:
        provision(pulumi_cli, files, variables, QUIET)
    write_environment(files.environment, variables, pulumi_cli)
    mend = error.value.reason.split("`")[1]
    subprocess.run(["bash", "-c", f"{mend} --yes"], check=True, cwd=files.directory.parent)
    assert provision(pulumi_cli, files, variables, QUIET) == {"unchanged": 1}
