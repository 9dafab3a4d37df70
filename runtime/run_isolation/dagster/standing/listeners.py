"""The two ports of a standing server.

Dagster's own server listens at the control port for as long as the process lives: for whoever asks
one task by its address, and for the health check. The public port serves the same, for whoever asks
the code location by its name, until another task has taken this one's place.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final, Protocol

from dagster._grpc.server import DagsterGrpcServer
from dagster._grpc.utils import default_grpc_server_shutdown_grace_period
from grpc_health.v1 import health_pb2

from run_isolation.standing.draining import Listener
from run_isolation.tick_timeouts import TICK_SECONDS

SERVICE: Final = "DagsterApi"
"""What Dagster's server calls itself in health checks (dagster/_grpc/server.py)."""

_CANCEL_SECONDS: Final = 5
"""For calls to be canceled after their grace period, as in Dagster's own server."""


class PublicListener:
    """The public port. One thread at a time opens and closes it.

    Args:
        options: What Dagster's server is made with; it binds the port when it is made.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        self._make = partial(DagsterGrpcServer, **options)
        self._serving: DagsterGrpcServer | None = None
        self._closing: list[DagsterGrpcServer] = []

    def open(self) -> None:
        """Serves.

        Raises:
            dagster._grpc.server.CouldNotBindGrpcServerToAddress: The port is taken.
        """
        serving = self._make()
        serving.server.start()
        serving._health_servicer.set(SERVICE, health_pb2.HealthCheckResponse.SERVING)
        self._serving = serving

    def close(self) -> None:
        """Accepts no more calls. Those that are being answered have as long as a tick may take.

        Dagster's own grace period is for a process that ends. This one stays for its runs.
        """
        if self._serving is not None:
            self._serving.server.stop(max(TICK_SECONDS, _grace()))
            self._closing.append(self._serving)
            self._serving = None

    def end(self) -> None:
        """Closes, and returns when no call is left, or Dagster's own grace period is over.

        A process that ends before spins for ever: grpc's server waits in its destructor for a
        thread that is no longer there (grpc/_cython/_cygrpc/server.pyx.pxi, ``destroy``).
        """
        self.close()
        # The shorter period counts (https://grpc.github.io/grpc/python/grpc.html, ``Server.stop``).
        for closed in [closing.server.stop(_grace()) for closing in self._closing]:
            closed.wait(_grace() + _CANCEL_SECONDS)


class Servicer(Protocol):
    """Dagster's servicer that wants to know its public port."""

    def serves_at(self, listener: Listener) -> None:
        """Called once, when it is open."""


class TwoPortServer(DagsterGrpcServer):
    """Dagster's server at the control port, and its servicer at the public one, too."""

    def __init__(self, *, control_port: int, **options: Any) -> None:
        self._public = PublicListener(options)
        self._servicer: Servicer = options["dagster_api_servicer"]
        super().__init__(**{**options, "port": control_port})

    def serve(self) -> None:
        """Returns when the server's process is to end. Healthy means that both ports serve."""
        self._public.open()
        self._servicer.serves_at(self._public)
        try:
            super().serve()  # type: ignore[no-untyped-call]
        finally:
            self._public.end()


def _grace() -> float:
    seconds: float = default_grpc_server_shutdown_grace_period()  # type: ignore[no-untyped-call]
    return seconds
