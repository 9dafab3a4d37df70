"""Exit handlers that user code registers at import: which ones a fork executes at its end.

Runs in: server, while it imports user code; run and step, which execute them.

A spawned process registers them itself, for what it has made itself. A fork has them from the
server: one that flushes a buffer has the fork's own buffer to flush, and one that deletes a
directory, or ends a process, takes the server's.
"""

from __future__ import annotations

import atexit
import logging
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from unittest.mock import patch

FLUSHING: Final = frozenset({"flush", "force_flush"})
"""Names of functions that are executed."""

FLUSHING_LIBRARIES: Final = frozenset(
    {
        # Sends what is queued, by a thread of the process that it is in
        # (https://github.com/getsentry/sentry-python/blob/master/sentry_sdk/worker.py).
        "sentry_sdk",
        # Exports what each processor has, after a fork by threads of the fork
        # (https://github.com/open-telemetry/opentelemetry-python, opentelemetry-sdk).
        "opentelemetry",
    }
)
"""Packages whose handlers are executed."""

_NOT_MISSED: Final = sys.stdlib_module_names | {"pyarrow", "dagster", "dagster_shared"}
"""Packages whose handlers nobody misses in a fork: they end threads and processes of the server.
What `logging` has, a fork executes."""

_MOST: Final = 5
"""So many are named."""


@dataclass(frozen=True)
class _Handler:
    function: Callable[..., object]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    module: str | None
    """With whose import it came, if that is known."""

    @property
    def _package(self) -> str:
        return str(getattr(_plain(self.function), "__module__", None)).partition(".")[0]

    @property
    def flushes(self) -> bool:
        """Whether a fork executes it."""
        name = getattr(_plain(self.function), "__name__", "")
        return name in FLUSHING or self._package in FLUSHING_LIBRARIES

    @property
    def is_missed(self) -> bool:
        """Whether it is told that a fork does not."""
        return not self.flushes and self._package not in _NOT_MISSED

    def __str__(self) -> str:
        plain = _plain(self.function)
        name = getattr(plain, "__qualname__", repr(plain))
        return f"{name} (by module {self.module})" if self.module else name


def _plain(function: Any) -> Any:
    """What a partial calls."""
    while hasattr(function, "func"):
        function = function.func
    return function


@dataclass(frozen=True)
class ExitHandlers:
    """Those that were registered in this process while it was watched."""

    _registered: list[_Handler] = field(default_factory=list)

    @contextmanager
    def watched(self, importing: Callable[[], str | None]) -> Iterator[None]:
        """Notes what is registered meanwhile.

        Args:
            importing: Says which module is being imported.
        """
        register, unregister = atexit.register, atexit.unregister

        def noted(function: Any, /, *args: Any, **kwargs: Any) -> Any:
            self._registered.append(_Handler(function, args, kwargs, importing()))
            return register(function, *args, **kwargs)

        def dropped(function: Any, /) -> None:
            self._registered[:] = [one for one in self._registered if one.function != function]
            unregister(function)

        with (
            patch.object(atexit, "register", noted),
            patch.object(atexit, "unregister", dropped),
        ):
            yield

    def told(self) -> str | None:
        """What is to be said, once, of those that forks do not execute; None: nothing."""
        missed = [str(one) for one in self._registered if one.is_missed]
        if not missed:
            return None
        more = f" and {len(missed) - _MOST} more" if len(missed) > _MOST else ""
        return (
            f"Runs that are forked do not execute exit handlers that were registered at import: "
            f"{', '.join(missed[:_MOST])}{more}. They would delete or end what is the server's. "
            f"One that writes a buffer is executed if its function is called flush; another one "
            f"belongs in a resource, or set warmStart: false for this code location."
        )

    def keep(self) -> None:
        """In a fork: leaves those that flush, and no others."""
        atexit._clear()
        for finalizer in list(weakref.finalize._registry):  # type: ignore[attr-defined]
            finalizer.atexit = False
        weakref.finalize._registered_with_atexit = False  # type: ignore[attr-defined]
        atexit.register(logging.shutdown)
        for one in self._registered:
            if one.flushes:
                atexit.register(one.function, *one.args, **one.kwargs)
