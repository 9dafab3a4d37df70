"""What Dagster's servicer has on record of the processes of runs.

Runs in: server.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from dagster._core.instance.ref import InstanceRef


@dataclass(frozen=True)
class Records:
    """Of a ``DagsterApiServer``. Nothing waits with their lock held.

    Attributes:
        lock: Guards all of them.
        processes: By run, each with the instance that it reports to.
        cancel_events: By run: what interrupts the process.
        forget: Takes a run from both; with the lock held.
        starting: Runs whose process has not said its first word, and may not be there yet.
    """

    lock: Lock
    processes: dict[str, tuple[Any, InstanceRef]]
    cancel_events: dict[str, Any]
    forget: Callable[[str], None]
    starting: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, servicer: Any) -> Records:
        """A servicer's own (dagster/_grpc/server.py)."""
        return cls(
            servicer._execution_lock,
            servicer._executions,
            servicer._termination_events,
            servicer._clear_run,
        )

    def run_ids(self) -> list[str]:
        """Runs that have a process, or whose end is still to be told."""
        with self.lock:
            return list(self.processes)

    def cancel_event(self, run_id: str) -> Any | None:
        """What interrupts the run's process; None where there is none."""
        with self.lock:
            return self.cancel_events.get(run_id)

    def process(self, run_id: str) -> tuple[Any, InstanceRef] | None:
        """The run's process and instance; None where there is none."""
        with self.lock:
            return self.processes.get(run_id)

    def begun(self) -> dict[str, tuple[Any, InstanceRef]]:
        """The processes that have begun with their runs."""
        with self.lock:
            known = self.processes.items()
            return {run_id: one for run_id, one in known if run_id not in self.starting}

    def add(self, run_id: str, process: Any, instance: InstanceRef, cancel: Any) -> None:
        """A process is about to be started. On record before it is, so that a cancel reaches it."""
        with self.lock:
            self.starting.add(run_id)
            self.processes[run_id] = (process, instance)
            self.cancel_events[run_id] = cancel

    def has_begun(self, run_id: str) -> None:
        """The process has said so."""
        with self.lock:
            self.starting.discard(run_id)

    def drop(self, run_id: str) -> None:
        """Nothing more is to be done about the run here."""
        with self.lock:
            self.starting.discard(run_id)
            with suppress(KeyError):
                self.forget(run_id)
