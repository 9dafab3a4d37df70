"""Long-running commands of a Dagster deployment, as a user starts, stops and loses them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from localaws.ecs.process import ContainerProcess
from localaws.ecs.sandbox import Sandbox, Start

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
    sandbox: Sandbox | None = None
    """Where it runs, apart from all else; None: as one of the tests' own processes."""
    _process: ContainerProcess | None = field(default=None, init=False)

    def start(self) -> None:
        """Start it."""
        assert self._process is None, f"{self.name} runs already"
        output = self.log.open("ab", buffering=0)
        start = Start(self.command, self.directory, self.environment)
        if self.sandbox is not None:
            environment = self.sandbox.environment | dict(self.environment)
            start = self.sandbox.start(self.command, str(self.directory), environment)

        def keep(said: bytes) -> None:
            output.write(said)

        self._process = ContainerProcess(start, on_output=keep, on_exit=lambda code: output.close())

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None, f"{self.name} does not run"
        return psutil.Process(self._process.pid).children()[0].pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.exit_code is None

    def stop(self) -> None:
        """Stop it as an init system does: SIGTERM, and SIGKILL when it takes too long."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            if process.wait(STOP_SECONDS) is None:
                process.kill()
                process.wait()

    def kill(self) -> None:
        """Let it die without a word: SIGKILL for it and its children."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def said(self, last: int = 3000) -> str:
        """The end of its log, for messages of failed tests."""
        return self.log.read_text(errors="replace")[-last:] if self.log.exists() else ""
