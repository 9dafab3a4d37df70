"""Prefect's ECS worker, in an environment and a process of its own."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

import platformdirs

from bench.launch.contenders import Contender
from bench.launch.place import Place
from tests.runtime.dagster.account import LOCATION

PREFECT: Final = "Prefect ECS worker"
_LOCK: Final = Path(__file__).with_name("prefect.txt")
_SCRIPT: Final = Path(__file__).with_name("prefect_worker.py")


class Prefect(Contender):
    """The worker, which answers each line with the seconds that it took."""

    name = PREFECT

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process = process
        self._log = log
        self._answer()

    def launch(self) -> float:
        """``ECSWorker.run``: what the worker does with a flow run that it has fetched."""
        return self._ask("launch")

    def terminate(self) -> None:
        """``ECSWorker.kill_infrastructure``."""
        self._ask("terminate")

    def _ask(self, what: str) -> float:
        assert self._process.stdin
        self._process.stdin.write(f"{what}\n")
        return float(self._answer())

    def _answer(self) -> str:
        assert self._process.stdout
        answer = self._process.stdout.readline().strip()
        if not answer:
            raise RuntimeError(f"Prefect's worker has ended:\n{self._log.read_text()}")
        return answer


@contextmanager
def prefect(place: Place) -> Iterator[Prefect]:
    """A worker whose pool names cluster, VPC and image, and leaves the rest as it is."""
    variables = {
        "cluster": place.stack.cluster,
        "vpc_id": place.vpc,
        "image": LOCATION,
        "execution_role_arn": f"arn:aws:iam::{place.stack.manifest.account}:role/execution",
    }
    home = place.directory / "prefect"
    home.mkdir()
    with (home / "log").open("wb") as log:
        process = _start(variables, home, log)
    with process:
        try:
            yield Prefect(process, home / "log")
        finally:
            process.kill()


def _start(variables: Mapping[str, str], home: Path, log: BinaryIO) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(_python()), str(_SCRIPT), json.dumps(variables)],
        env={**os.environ, "PREFECT_HOME": str(home), "PREFECT_LOGGING_TO_API_ENABLED": "false"},
        cwd=home,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        bufsize=1,
    )


def _python() -> Path:
    """The interpreter of an environment with what the lock pins; made when there is none.

    In the user's cache, one for each lock.
    """
    pin = hashlib.sha256(_LOCK.read_bytes()).hexdigest()[:12]
    home = platformdirs.user_cache_path("run-isolation") / "prefect" / pin
    python = home / "bin" / "python"
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "--quiet", "--allow-existing", str(home)], check=True)
    subprocess.run(
        [*uv, "pip", "sync", "--quiet", "--require-hashes", "--python", str(python), str(_LOCK)],
        check=True,
    )
    return python
