"""Which module was being imported when a thread started or a descriptor was opened.

Runs in: server, while it imports user code.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Final
from unittest.mock import patch

from run_isolation.dagster.processes import linux

_BOOTSTRAP: Final[Any] = importlib._bootstrap


@dataclass
class Blame:
    """What has come since ``imports`` began, and the module that each came with.

    The innermost module whose code was being executed; None for code that is not imported but
    loaded from a file, as Dagster does with a ``pythonFile``.
    """

    _threads: dict[int, str | None] = field(default_factory=dict)
    _descriptors: dict[tuple[int, str], str | None] = field(default_factory=dict)
    _importing: list[str] = field(default_factory=list)
    _mark: tuple[int, int, int] | None = None

    def of_thread(self, number: int) -> str | None:
        """The module that started a thread.

        Args:
            number: As Linux counts threads.
        """
        return self._threads.get(number)

    def of_descriptor(self, number: int, what: str) -> str | None:
        """The module that opened a descriptor.

        Args:
            number: Of the descriptor.
            what: It is, in the words of ``linux.descriptors``.
        """
        return self._descriptors.get((number, what))

    def importing(self) -> str | None:
        """The module that is being imported."""
        return self._importing[-1] if self._importing else None

    @contextmanager
    def imports(self) -> Iterator[None]:
        """Looks on while modules are imported. Where Python does not let us, nobody is blamed."""
        original = getattr(_BOOTSTRAP, "_load_unlocked", None)
        if original is None:
            yield
            return
        self._look()
        with patch.object(_BOOTSTRAP, "_load_unlocked", self._watched(original)):
            yield
        self._look()

    def _watched(self, original: Callable[[Any], ModuleType]) -> Callable[[Any], ModuleType]:
        def load(spec: ModuleSpec) -> ModuleType:
            self._look()  # what is new came with the module that imports this one
            self._importing.append(spec.name)
            try:
                return original(spec)
            finally:
                self._look()
                self._importing.pop()

        # Python leaves frames of this file out of the tracebacks of imports that fail.
        file = original.__code__.co_filename
        load.__code__ = load.__code__.replace(co_filename=file)
        return load

    def _look(self) -> None:
        mark = _mark()
        if mark == self._mark:
            return
        self._mark = mark
        module = self.importing()
        for number in linux.threads():
            self._threads.setdefault(number, module)
        for descriptor in linux.descriptors().items():
            self._descriptors.setdefault(descriptor, module)


def _mark() -> tuple[int, int, int]:
    """Changes with the threads and descriptors of this process, and costs next to nothing.

    The links of the directory of threads count them (proc_task_getattr in Linux's fs/proc/base.c);
    a new descriptor gets the lowest number that is free (open(2)). Of a pipe to a new process one
    end is closed again, so the next number counts, too.
    """
    lowest, next_one = os.eventfd(0), os.eventfd(0)
    os.close(lowest)
    os.close(next_one)
    return os.stat("/proc/self/task").st_nlink, lowest, next_one
