"""What a process hands on to one that it spawns, and a fork of another process does not have.

Runs in: server and run, which take theirs; run and step, which get it.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import process
from pathlib import Path
from typing import Any, Final

_LIMITS: Final = sorted(
    {getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")}
)
_STARTED_IN: Final[str] = vars(process)["ORIGINAL_DIR"]


@dataclass(frozen=True)
class ProcessState:
    """Of one process, at the moment that it asks for another one.

    Attributes:
        environment: Its variables.
        directory: Its working directory; None where that was deleted.
        umask: Of the files that it creates.
        limits: Soft and hard one, by number (https://man7.org/linux/man-pages/man2/getrlimit.2.html).
        sys_path: Where Python looks for modules.
    """

    environment: Mapping[str, str]
    directory: str | None
    umask: int
    limits: Mapping[int, tuple[int, int]]
    sys_path: Sequence[str]

    @classmethod
    def of_this_one(cls) -> ProcessState:
        """Of the process that calls."""
        return cls(
            dict(os.environ),
            _directory(),
            _umask(),
            {limit: resource.getrlimit(limit) for limit in _LIMITS},
            # As multiprocessing.spawn.get_preparation_data has it.
            [entry or _STARTED_IN for entry in sys.path],
        )

    def take_on(self) -> None:
        """Makes it the state of the process that calls.

        Raises:
            OSError: The directory is gone by now.
        """
        self.take_on_in_kernel()
        for name in os.environ.keys() - self.environment.keys():
            del os.environ[name]
        for name, value in self.environment.items():
            if os.environ.get(name) != value:
                os.environ[name] = value
        time.tzset()  # a new interpreter reads TZ
        path: list[Any] = sys.path
        path[:] = self.sys_path

    def take_on_in_kernel(self) -> None:
        """The same for all that lasts through the execution of a program.

        Raises:
            OSError: The directory is gone by now.
        """
        if self.directory is not None and self.directory != _directory():
            os.chdir(self.directory)
        os.umask(self.umask)
        for limit, values in self.limits.items():
            if resource.getrlimit(limit) != values:
                # Who may not raise one is below a process that could not, either.
                with suppress(OSError, ValueError):
                    resource.setrlimit(limit, values)


def _directory() -> str | None:
    try:
        return os.getcwd()
    except FileNotFoundError:
        return None


def _umask() -> int:
    """Read without being changed, as another thread may create a file."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    umask = os.umask(0o077)  # a kernel from before 4.7
    os.umask(umask)
    return umask
