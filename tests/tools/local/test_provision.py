"""Failures of the real engine as `make up` shows them."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import yaml
from rich.console import Console

from tests.waiting import eventually
from tools import progress
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


def hold(files: LocalFiles, pid: int) -> None:
    """Lock the stack, as an update does for as long as it runs."""
    lock = files.backend / ".pulumi/locks/organization/trial/local/some.json"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.write_text(json.dumps({"pid": pid, "username": "me", "hostname": "here"}))


def test_a_stack_that_a_killed_command_held_is_free(
    files: LocalFiles, pulumi_cli: PulumiCli
) -> None:
    write_program(files, "")
    variables = pulumi_environment(files, NO_ACCOUNT)
    provision(pulumi_cli, files, variables, QUIET)
    with subprocess.Popen(["true"]) as gone:
        pass
    hold(files, gone.pid)
    assert provision(pulumi_cli, files, variables, QUIET) == {"unchanged": 1}


HANGS = """
import signal, time

for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)

def wait(args):
    pulumi.log.info("0 of 1 code location is healthy; waiting for: late", ephemeral=True)
    time.sleep(600)

binding = pulumi.ResourceHookBinding(before_create=[pulumi.ResourceHook("waits", wait)])
pulumi.Stash("rolled-out", input={}, opts=pulumi.ResourceOptions(hooks=binding))
"""


def test_an_engine_that_waits_in_vain_is_ended_and_says_for_what(
    files: LocalFiles, pulumi_cli: PulumiCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "END_PATIENCE", 1)
    monkeypatch.setattr(progress, "LINE_SECONDS", 1)
    write_program(files, HANGS)
    variables = pulumi_environment(files, NO_ACCOUNT)
    output = io.StringIO()
    console = Console(file=output, width=200)

    def end_once_it_waits() -> None:
        eventually(lambda: "waiting for: late" in output.getvalue(), output.getvalue, 60)
        monkeypatch.setattr(engine, "SILENCE", 4)

    with ThreadPoolExecutor() as other:
        other.submit(end_once_it_waits)
        with pytest.raises(StepError, match="Pulumi reported nothing for 4 s") as error:
            provision(pulumi_cli, files, variables, console)
    waits = (
        r"create Stash rolled-out, until each changed container is healthy \(\d+ s\): "
        "0 of 1 code location is healthy; waiting for: late"
    )
    assert re.search(f"It was waiting for: {waits}", error.value.reason)
    assert "run `make up` again" in error.value.reason
    assert re.search(rf"stack local, \d+ s: .*{waits}", output.getvalue())
    checkout = str(files.directory.parent)
    ours = [one for one in psutil.process_iter(["cwd"]) if checkout in (one.info["cwd"] or "")]
    psutil.wait_procs(ours, timeout=5)
    assert not [one for one in ours if one.is_running()]


def test_whatever_fails_of_an_engine_that_was_ended_is_said_the_same_way(
    files: LocalFiles, pulumi_cli: PulumiCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pulumi's SDK asserts that there is an update, which an engine may not have recorded yet."""
    monkeypatch.setattr(engine, "SHOW_SECONDS", 0.1)
    monkeypatch.setattr(engine, "SILENCE", 0)
    ended = threading.Event()
    monkeypatch.setattr(engine, "_end_engine", ended.set)

    def fail(*_: object) -> None:
        assert ended.wait(30)
        raise AssertionError

    monkeypatch.setattr(engine, "_up", fail)
    write_program(files, "")
    with pytest.raises(StepError, match="It was waiting for: the program"):
        provision(pulumi_cli, files, pulumi_environment(files, NO_ACCOUNT), QUIET)


def test_a_stack_that_is_held_says_how_to_free_it(files: LocalFiles, pulumi_cli: PulumiCli) -> None:
    write_program(files, "")
    variables = pulumi_environment(files, NO_ACCOUNT)
    provision(pulumi_cli, files, variables, QUIET)
    hold(files, 1)
    holds = "another pulumi command holds the stack: process 1. Wait for it"
    with pytest.raises(StepError, match=holds) as error:
        provision(pulumi_cli, files, variables, QUIET)
    write_environment(files.environment, variables, pulumi_cli)
    mend = error.value.reason.split("`")[1]
    subprocess.run(["bash", "-c", f"{mend} --yes"], check=True, cwd=files.directory.parent)
    assert provision(pulumi_cli, files, variables, QUIET) == {"unchanged": 1}
