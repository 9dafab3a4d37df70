"""A standing task's way through redeploys: it stays while it hosts runs, and steps aside.

While its server hosts runs, the task is protected, and ECS is asked whether another task serves in
its place by now. If so the server is draining: it starts no more runs and closes its public port,
so that the location's name leads to the other task only. Its control port stays. When its last run
is over, the protection ends, and ECS ends the task.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from threading import Event, Thread
from typing import Final, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from run_isolation.errors import RunIsolationError
from run_isolation.standing.protection import TaskProtection
from run_isolation.standing.redeploys import Redeploys

CHECK_SECONDS: Final = 10.0
"""Between two looks at ECS while runs go on. DescribeServices has a rate of 20 per second in an
account (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/request-throttling.html)."""

_JOIN_SECONDS: Final = 5
"""A call to ECS may be on its way; the process ends without its answer."""


class Listener(Protocol):
    """The port that the location's name leads to."""

    def open(self) -> None:
        """Serves."""

    def close(self) -> None:
        """Accepts no more calls. Those that are being answered end in their own time."""


class StandingTask:
    """Watches over one task, in a thread of its own.

    Args:
        hosts_runs: Whether the server has, or is about to start, a run's process.
        protection: Of this task.
        redeploys: Of its service.
        listener: The public port, which is open.
        logger: For what is done, and trouble with ECS.
        check_seconds: Between two looks.
    """

    def __init__(
        self,
        hosts_runs: Callable[[], bool],
        protection: TaskProtection,
        redeploys: Redeploys,
        listener: Listener,
        logger: logging.Logger,
        check_seconds: float = CHECK_SECONDS,
    ) -> None:
        self._hosts_runs = hosts_runs
        self._protection = protection
        self._redeploys = redeploys
        self._listener = listener
        self._logger = logger
        self._check_seconds = check_seconds
        self._successor: str | None = None
        self._open = True
        self._wake = Event()
        self._closed = False
        self._thread = Thread(target=self._work, name="standing-task", daemon=True)

    @property
    def why_draining(self) -> str | None:
        """Why it takes no more runs; None while it does."""
        successor = self._successor
        return f"Task {successor} has taken its place." if successor else None

    def start(self) -> None:
        """Begins to watch. Without runs it does nothing."""
        self._thread.start()

    def protect(self) -> None:
        """Protects the task before a run begins, and has it watched while there are runs."""
        self._protection.settle()
        self._wake.set()

    def run_ended(self) -> None:
        """The protection may be due to end. Returns at once."""
        self._wake.set()

    def close(self) -> None:
        """Watches no longer."""
        self._closed = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(_JOIN_SECONDS)

    def _work(self) -> None:
        next_look: float | None = None
        while not self._closed:
            if not self._is_needed():
                next_look = None
            elif next_look is None:
                # Not at once: the first run that starts has the CPU for itself.
                next_look = time.monotonic() + self._check_seconds
            self._wake.wait(None if next_look is None else max(0.0, next_look - time.monotonic()))
            self._wake.clear()
            self._protection.settle()
            if next_look is not None and time.monotonic() >= next_look and not self._closed:
                self._look()
                next_look = time.monotonic() + self._check_seconds

    def _is_needed(self) -> bool:
        return self._hosts_runs() or self._protection.held or self._successor is not None

    def _look(self) -> None:
        try:
            successor = self._redeploys.successor()
            self._follow(successor)
        except (BotoCoreError, ClientError, RunIsolationError) as error:
            self._logger.warning("Whether this task is out of date could not be asked: %s", error)
        except Exception:
            # The thread must live: it is the one that ends the protection.
            self._logger.exception("Could not look after redeploys; trying again.")

    def _follow(self, successor: str | None) -> None:
        """Drains, or serves again where nobody else does. What fails is done by the next look."""
        if successor:
            if self._successor is None:
                self._logger.info(
                    "Task %s has taken this one's place. It starts no more runs, closes its public "
                    "port and stays until the runs that it has are over.",
                    successor,
                )
            self._successor = successor
            if self._open:
                self._listener.close()
                self._open = False
        elif self._successor:
            if not self._open:
                self._listener.open()
                self._open = True
            self._successor = None
            self._logger.info("Nobody serves in this task's place any more: it serves again.")
