"""Long-running commands of a Dagster deployment, as a user starts, stops and loses them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

BIN = Path(sys.prefix) / "bin"
STOP_SECONDS = 20.0


@dataclass
class Program:
    """One command that is started again under the same name.

    Attributes:
        name: For its log.
        command: Program and arguments.
        directory: Its working directory.
        environment: All of its environment.
        log: Everything that it has said, in all its lives.
    """

    name: str
    command: Sequence[str]
    directory: Path
    environment: Mapping[str, str]
    log: Path
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        """Start it, in a process group of its own."""
        assert self._process is None, f"{self.name} runs already"
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self.command,
                cwd=self.directory,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None, f"{self.name} does not run"
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """Stop it as an init system does: SIGTERM, and SIGKILL when it takes too long."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Let it die without a word: SIGKILL for it and its children."""
        self._end(signal.SIGKILL)

    def said(self, last: int = 3000) -> str:
        """The end of its log, for messages of failed tests."""
        return self.log.read_text(errors="replace")[-last:] if self.log.exists() else ""

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS if number is signal.SIGTERM else 0.1)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
