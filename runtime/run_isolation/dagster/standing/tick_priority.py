"""Sensors and schedules, evaluated in the server's threads, go before runs."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from dagster._grpc.server import DagsterApiServer

from run_isolation.dagster.warm.cpu_manners import Manners


class PromptTicks(DagsterApiServer):
    """Dagster's servicer, whose ticks have the CPU first where a container has less than one.

    Only they: a server that is kept to one CPU as a whole does not answer for up to 14 seconds
    while hundreds of processes are forked there (measured on Linux 6.18 at 0.25 vCPU).
    """

    _manners: Manners | None = None

    def SyncExternalScheduleExecution(  # noqa: N802  # gRPC's name
        self, request: Any, context: Any
    ) -> Any:
        """Evaluates a schedule."""
        with self._before_runs():
            return super().SyncExternalScheduleExecution(request, context)

    def SyncExternalSensorExecution(  # noqa: N802  # gRPC's name
        self, request: Any, context: Any
    ) -> Any:
        """Evaluates a sensor."""
        with self._before_runs():
            return super().SyncExternalSensorExecution(request, context)

    def _before_runs(self) -> Any:
        return self._manners.before_runs() if self._manners is not None else nullcontext()
