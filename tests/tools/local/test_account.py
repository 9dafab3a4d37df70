"""The local account as a background process, with a stand-in for `python -m localaws`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from tools.local import account
from tools.local.account import ensure_account, running_account, stop_account
from tools.local.errors import StepError
from tools.local.files import LocalFiles
from tools.local.processes import Processes

QUIET = Console(quiet=True)

# Serves moto and says that it is ready, as localaws does.
SERVE = """
import json, os, sys, signal, threading
from moto.server import ThreadedMotoServer
directory = sys.argv[sys.argv.index("--state-dir") + 1]
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
url = "http://127.0.0.1:%d" % server.get_host_and_port()[1]
ready = {"pid": os.getpid(), "endpoint_url": url, "provider_port": 1, "dns": "127.0.0.1:1",
         "environment": {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
                         "AWS_SESSION_TOKEN": "test", "AWS_REGION": "us-east-1"}}
with open(directory + "/ready.new", "w") as file:
    json.dump(ready, file)
os.rename(directory + "/ready.new", directory + "/ready.json")
signal.sigwait([signal.SIGTERM])
"""


@pytest.fixture
def files(tmp_path: Path) -> Iterator[LocalFiles]:
    files = LocalFiles(tmp_path / "local")
    yield files
    stop_account(files, Processes(files.processes))


@pytest.fixture
def localaws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Sets what `python -m localaws` runs."""
    interpreter = tmp_path / "python"

    def write(source: str) -> None:
        script = tmp_path / "localaws.py"
        script.write_text(source)
        interpreter.write_text(f'#!/bin/sh\nexec "{python}" "{script}" "$@"\n')
        interpreter.chmod(0o755)

    python = sys.executable
    monkeypatch.setattr(sys, "executable", str(interpreter))
    monkeypatch.setattr(account, "ensure_environment", lambda image: Path(sys.prefix))
    write(SERVE)
    return write


def test_starts_once_and_is_reused(files: LocalFiles, localaws: Callable[[str], None]) -> None:
    processes = Processes(files.processes)
    first, fresh = ensure_account(files, processes, QUIET)
    assert fresh
    assert ensure_account(files, processes, QUIET) == (first, False)


def test_pulumis_state_lives_and_dies_with_the_account(
    files: LocalFiles, localaws: Callable[[str], None]
) -> None:
    processes = Processes(files.processes)
    files.backend.mkdir(parents=True)
    ensure_account(files, processes, QUIET)
    assert not files.backend.exists()
    files.backend.mkdir()
    ensure_account(files, processes, QUIET)
    assert files.backend.exists()
    assert stop_account(files, processes) is not None
    assert not files.backend.exists()
    assert not files.ready.exists()


def test_one_that_does_not_answer_is_replaced(
    files: LocalFiles, localaws: Callable[[str], None]
) -> None:
    processes = Processes(files.processes)
    first, _ = ensure_account(files, processes, QUIET)
    deaf = first.model_copy(update={"endpoint_url": "http://127.0.0.1:1"})
    files.ready.write_text(deaf.model_dump_json())
    assert running_account(files, processes) is None
    second, fresh = ensure_account(files, processes, QUIET)
    assert fresh
    assert second.pid != first.pid


def test_what_worked_on_one_that_is_gone_is_stopped_before_the_next_one_starts(
    files: LocalFiles, localaws: Callable[[str], None]
) -> None:
    processes = Processes(files.processes)
    ensure_account(files, processes, QUIET)
    processes.start("daemon", ["sleep", "60"], directory=files.directory, log=files.log("daemon"))
    gone = processes.running(account.NAME)
    assert gone is not None
    gone.kill()
    psutil.wait_procs([gone], timeout=10)
    ensure_account(files, processes, QUIET)
    assert processes.running("daemon") is None


def test_one_that_ends_at_once_shows_its_last_words(
    files: LocalFiles, localaws: Callable[[str], None]
) -> None:
    localaws("raise SystemExit('the port is taken')")
    with pytest.raises(StepError, match="the port is taken") as error:
        ensure_account(files, Processes(files.processes), QUIET)
    assert error.value.log == files.account_log


def test_one_that_never_gets_ready_is_stopped(
    files: LocalFiles, localaws: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account, "START_PATIENCE", 0.3)
    localaws("import time; time.sleep(60)")
    processes = Processes(files.processes)
    with pytest.raises(StepError, match=r"not ready within 0\.3 s"):
        ensure_account(files, processes, QUIET)
    assert processes.running(account.NAME) is None
