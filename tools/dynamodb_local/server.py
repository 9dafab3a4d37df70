"""One DynamoDB Local as a process of this machine."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tenacity import retry, retry_if_result, stop_after_delay, wait_fixed

from tools.dynamodb_local.jars import UnavailableError, ensure_jars
from tools.ports import free_port

MAIN: Final = "software.amazon.dynamodb.services.local.main.ServerRunner"
START_SECONDS: Final = 60
ACCESS: Final = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
}


class DynamoDBLocal:
    """Starts as the block begins and is gone when it ends.

    It listens on every address of the machine: there is no option for less.

    Args:
        directory: Where tables are kept, so that `restart` finds them again; None keeps them in
            memory.
        short_lived: Whether it saves CPU in its first minute, where one that serves for long should
            be as fast as it gets.
    """

    def __init__(self, directory: Path | None = None, *, short_lived: bool = False) -> None:
        self.directory = directory
        # Java's second compiler takes half of what a start and a few thousand calls take of the CPU
        # (https://docs.oracle.com/en/java/javase/17/docs/specs/man/java.html).
        self._options = ["-XX:TieredStopAtLevel=1"] if short_lived else []
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the server

    @property
    def endpoint_url(self) -> str:
        """Where it listens, also after a restart."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What makes AWS clients talk to it."""
        return {**ACCESS, "AWS_ENDPOINT_URL_DYNAMODB": self.endpoint_url}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
        self._log.close()

    def start(self) -> None:
        """Starts it and waits until it answers.

        Raises:
            UnavailableError: It can't be had or does not start here.
        """
        jars = ensure_jars()
        java = shutil.which("java")
        if java is None:
            raise UnavailableError("DynamoDB Local needs Java 17 or newer: no `java` on PATH.")
        where = ["-inMemory"] if self.directory is None else ["-dbPath", str(self.directory)]
        command = [java, *self._options, f"-Djava.library.path={jars}"]
        command += ["-Xmx512m", "-XX:+UseSerialGC"]
        command += ["-cp", f"{jars}/*", MAIN, *where, "-port", str(self.port)]
        command += ["-sharedDb", "-disableTelemetry"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log
        )
        if not self._answers_in_time():
            self.kill()
            self._log.seek(0)
            raise UnavailableError(f"{' '.join(command)}\n{self._log.read().decode()}")

    def kill(self) -> None:
        """SIGKILL, as a crash would: what it has acknowledged is on disk."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Kills it and starts it again, at the same address and with its data."""
        self.kill()
        self.start()

    def _answers_in_time(self) -> bool:
        @retry(
            retry=retry_if_result(lambda answers: answers is None),
            wait=wait_fixed(0.1),
            stop=stop_after_delay(START_SECONDS),
            retry_error_callback=lambda _: False,
        )
        def answers() -> bool | None:
            assert self._process is not None  # noqa: S101  # just started
            if self._process.poll() is not None:
                return False
            return True if _listens(self.port) else None

        return bool(answers())


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
