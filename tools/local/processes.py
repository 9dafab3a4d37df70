"""Background processes that `make up` starts and `make down` stops, and no others."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil
from pydantic import BaseModel, TypeAdapter

# Seconds. Linux gives start times in hundredths of a second since boot, and the clock may be set.
SAME_START = 2.0
KILL_PATIENCE = 5.0
"""Seconds that SIGKILL may take."""


def own_environment() -> dict[str, str]:
    """This process's environment without the user's own AWS settings."""
    return {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}


class Started(BaseModel):
    """A process as it was when it started. Its number alone may belong to another one by now."""

    pid: int
    created: float
    """Start time in seconds since the epoch."""


_RECORDS = TypeAdapter(dict[str, Started])


class Processes:
    """The processes of one local deployment by name, remembered in a file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        directory: Path,
        log: Path,
        environment: Mapping[str, str] | None = None,
    ) -> int:
        """Start a process that outlives this one, and remember it.

        Args:
            name: Under which it is remembered.
            command: Program and arguments.
            directory: Its working directory.
            log: Gets its output; an older one is overwritten.
            environment: All of its environment; this process's own by default, without the user's
                own AWS settings (AWS_PROFILE and the like).

        Returns:
            Its process id.
        """
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=directory,
                env=own_environment() if environment is None else environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        created = psutil.Process(process.pid).create_time()
        self._write({**self._read(), name: Started(pid=process.pid, created=created)})
        return process.pid

    def running(self, name: str) -> psutil.Process | None:
        """The process that was started under this name, where it still runs."""
        record = self._read().get(name)
        if record is None:
            return None
        try:
            process = psutil.Process(record.pid)
            started_then = abs(process.create_time() - record.created) < SAME_START
            return process if started_then and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None

    def stop(self, name: str, *, patience: float) -> int | None:
        """Stop a process with SIGTERM, and after `patience` seconds with SIGKILL, children too.

        Returns:
            The process id, or None where it did not run.
        """
        process = self.running(name)
        if process is not None:
            end(process, patience)
        self._write({key: value for key, value in self._read().items() if key != name})
        return process.pid if process else None

    def _read(self) -> dict[str, Started]:
        if not self._file.exists():
            return {}
        return _RECORDS.validate_json(self._file.read_bytes())

    def _write(self, records: dict[str, Started]) -> None:
        if not records:
            self._file.unlink(missing_ok=True)
            return
        unfinished = self._file.with_suffix(".new")
        unfinished.write_bytes(_RECORDS.dump_json(records))
        unfinished.replace(self._file)


def end(process: psutil.Process, patience: float) -> None:
    """End a process with SIGTERM, and after `patience` seconds with SIGKILL, children too."""
    with contextlib.suppress(psutil.NoSuchProcess):
        family = [process, *process.children(recursive=True)]
        process.terminate()
        try:
            process.wait(patience)
        except psutil.TimeoutExpired:
            for one in family:
                # psutil refuses where the number belongs to another process by now.
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.kill()
            psutil.wait_procs(family, timeout=KILL_PATIENCE)
