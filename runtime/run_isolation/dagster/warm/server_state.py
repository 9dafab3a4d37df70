"""What the server has set up for itself, and a process that Dagster spawns would not have.

Runs in: server, which takes it; run and step, which are settled by it.
"""

from __future__ import annotations

import logging
import signal
import sys
import warnings
from dataclasses import dataclass
from typing import Any, Final

from run_isolation.dagster.warm import cpu_manners
from run_isolation.dagster.warm.detection import Import
from run_isolation.dagster.warm.exit_handlers import ExitHandlers
from run_isolation.dagster.warm.seeds import Seeds

_LOGGERS: Final = ("dagster", "dagit", "dagster-webserver")
"""What Dagster's CLI configures (dagster/_utils/log.py, ``configure_loggers``)."""


@dataclass(frozen=True)
class ServerState:
    """As it was before user code was imported: what is different afterwards is the user's."""

    handlers: dict[str, list[logging.Handler]]
    levels: dict[str, int]
    showwarning: Any
    structlog_processors: Any
    signals: dict[int, Any]

    @classmethod
    def take(cls) -> ServerState:
        """Looks at this process."""
        loggers = {name: logging.getLogger(name) for name in _LOGGERS}
        return cls(
            handlers={name: list(logger.handlers) for name, logger in loggers.items()},
            levels={name: logger.level for name, logger in loggers.items()},
            showwarning=warnings.showwarning,
            structlog_processors=_structlog_processors(),
            signals=_signals(),
        )

    def settler(self, imported: Import) -> Settler:
        """To be made after user code was imported, before the template changes anything."""
        changed = {n: h for n, h in _signals().items() if h != self.signals.get(n)}
        manners = cpu_manners.manners()
        return Settler(self, changed, manners, imported.exit_handlers, imported.seeds)


@dataclass(frozen=True)
class Settler:
    """Called in each new process: makes it like one that Dagster spawns."""

    server: ServerState
    user_signals: dict[int, Any]
    manners: cpu_manners.Manners | None
    exit_handlers: ExitHandlers
    seeds: Seeds

    def __call__(self) -> None:
        """In the new process."""
        self._signals()
        self._logging()
        if self.manners is not None:
            self.manners.apply()
        self.exit_handlers.keep()
        self.seeds.anew()

    def _signals(self) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        ours: dict[int, Any] = {
            signal.SIGINT: signal.default_int_handler,
            signal.SIGTERM: signal.SIG_DFL,
            signal.SIGCHLD: signal.SIG_DFL,
        }
        for number, handler in {**ours, **self.user_signals}.items():
            signal.signal(number, handler)

    def _logging(self) -> None:
        for name, handlers in self.server.handlers.items():
            logger = logging.getLogger(name)
            for handler in handlers:
                logger.removeHandler(handler)
            if logger.level == self.server.levels[name]:
                logger.setLevel(logging.NOTSET)
        if warnings.showwarning is self.server.showwarning:
            warnings.showwarning = getattr(warnings, "_showwarning_orig", warnings.showwarning)
        structlog: Any = sys.modules.get("structlog")
        if structlog is not None and self.server.structlog_processors is _structlog_processors():
            structlog.reset_defaults()


def _signals() -> dict[int, Any]:
    handlers = {int(number): signal.getsignal(number) for number in signal.valid_signals()}
    # None: set by something else than Python; it stays, as it does in a fork.
    return {number: handler for number, handler in handlers.items() if handler is not None}


def _structlog_processors() -> Any:
    structlog: Any = sys.modules.get("structlog")
    return structlog.get_config()["processors"] if structlog is not None else None
