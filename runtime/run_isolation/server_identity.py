"""Which of several servers behind one name a client talks to.

During a redeploy two tasks answer to a code location's name. A run has to be started, asked about
and canceled at one and the same task, so a server tells its task and address as its Dagster server
id, which any client can ask for (GetServerId). To Dagster it only has to differ between servers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Self

SERVER_KEY: Final = "run-isolation-server"
"""gRPC metadata of StartRun: the server that the caller means. Any other refuses."""

ATTEMPT_KEY: Final = "run-isolation-attempt"
"""gRPC metadata of StartRun: the attempt that holds the run's slot, which the server gives back."""

EXPECTED_KEY: Final = "run-isolation-expected-mib"
"""gRPC metadata of StartRun: the most memory in MiB that the job's recent runs had, if known."""

_SEPARATOR: Final = "@"


@dataclass(frozen=True)
class ServerIdentity:
    """One server process of ours."""

    task_arn: str
    address: str
    """``ip:port`` of its control port, which it serves until its end, also when it is draining."""
    instance_version: str = field(default="", compare=False)
    """Of the deployment's Dagster instance that it uses, where the caller knows it."""

    def is_in(self, cluster: str) -> bool:
        """Whether its task is one of this cluster, by their ARNs."""
        return self.task_arn.startswith(f"{cluster.replace(':cluster/', ':task/', 1)}/")

    def to_server_id(self) -> str:
        """As the server advertises it."""
        return f"{self.task_arn}{_SEPARATOR}{self.address}"

    @classmethod
    def from_server_id(cls, server_id: str) -> Self | None:
        """None for a server that is not ours, or not in a task."""
        task_arn, separator, address = server_id.rpartition(_SEPARATOR)
        return cls(task_arn, address) if separator and ":" in address else None
